"""Typed settings: every tunable value is a field of a frozen model, with its value in YAML under params/.

Decides what a valid setting is (type, bounds, unit) and reports where an invalid one is. Secrets and addresses are not
settings: they come from the environment.
"""

from components.params.advice import AdviceParams
from components.params.agent import MCP, AgentParams, Limits
from components.params.economics import EconomicsParams
from components.params.ladder import BASE, FirstLookParams, LadderParams, RungParams
from components.params.loading import Settings, changed, load, load_named, read_text, read_yaml
from components.params.pipeline import (
    GateParams,
    HarvestParams,
    Pipeline,
    RecordParams,
    ReleaseParams,
    RetentionParams,
    RetrainingParams,
    RunParams,
    SliceGateParams,
    WatchParams,
)
from components.params.pretrain import (
    ArchitectureParams,
    CurriculumParams,
    MidtrainParams,
    OptimisationParams,
    PretrainParams,
    RoughCurriculumParams,
    TokenizerParams,
)
from components.params.profile import (
    ApiParams,
    EngineParams,
    Environment,
    LauncherParams,
    LlamaCppParams,
    LoraParams,
    ModelParams,
    Precision,
    Profile,
)
from components.params.scoring import (
    FieldMatch,
    FormatRulesParams,
    HttpParams,
    JudgeParams,
    ScorerParams,
    SimilarityParams,
    SqlExecutionParams,
    TextRules,
    TrajectoryParams,
)
from components.params.serving import (
    AccessParams,
    ConnectionParams,
    FallbackParams,
    FeedbackParams,
    LabellingParams,
    RoutingParams,
    ServingParams,
    UpstreamParams,
)
from components.params.storage import RayParams, S3Params, StorageParams
from components.params.trust import AuditParams, CertificateParams, HackingParams, ProbeParams
from components.params.workload import (
    SPLITS,
    Columns,
    ConflictingInputs,
    FileSource,
    GeneratedSource,
    HuggingFaceSource,
    MustPass,
    Shares,
    SplitName,
    SplitShares,
    Traffic,
    ValidationParams,
    Workload,
)

__all__ = [
    "BASE", "MCP", "SPLITS", "AccessParams", "AdviceParams", "AgentParams", "ApiParams", "ArchitectureParams",
    "AuditParams", "CertificateParams", "Columns", "ConflictingInputs", "ConnectionParams", "CurriculumParams",
    "EconomicsParams", "EngineParams", "Environment", "FallbackParams", "FeedbackParams", "FieldMatch", "FileSource",
    "FirstLookParams", "FormatRulesParams", "GateParams", "GeneratedSource", "HackingParams", "HarvestParams",
    "HttpParams", "HuggingFaceSource", "JudgeParams", "LabellingParams", "LadderParams", "LauncherParams", "Limits",
    "LlamaCppParams",
    "LoraParams", "MidtrainParams", "ModelParams", "MustPass", "OptimisationParams", "Pipeline", "Precision",
    "PretrainParams", "ProbeParams", "Profile", "RayParams", "RecordParams", "ReleaseParams", "RetentionParams",
    "RetrainingParams", "RoughCurriculumParams", "RoutingParams", "RunParams", "RungParams", "S3Params", "ScorerParams",
    "ServingParams", "Settings", "Shares", "SimilarityParams", "SliceGateParams", "SplitName", "SplitShares",
    "SqlExecutionParams", "StorageParams", "TextRules", "TokenizerParams", "Traffic", "TrajectoryParams",
    "UpstreamParams", "ValidationParams", "WatchParams", "Workload", "changed", "load", "load_named",
    "read_text", "read_yaml",
]  # fmt: skip
