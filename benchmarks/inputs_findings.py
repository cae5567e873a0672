"""Files that users reported: the former behaviour, the current one, and its test."""

_INPUTS = "tests/components/data/test_inputs.py::"
_READING = "tests/components/data/test_reading.py::"
_REPEATS = "tests/components/data/test_repeats.py::"
_MEANING = "tests/components/schema/test_meaning.py::"
_WATCH = "tests/monitoring/test_watch.py::"
_CLIENTS = "tests/components/serving/test_clients.py::"
_CONSTRAINT = "tests/components/engines/test_constraint.py::"
_PREPARING = "tests/components/serving/test_preparing.py::"
_PLACE = "tests/flows/test_place.py::"


def _row(tried: str, before: str, now: str, test: str) -> dict[str, str]:
    return {"try": tried, "before": before, "now": now, "test": test}


FINDINGS = [
    _row(
        "csv with BOM, `;`, CRLF, quoted line breaks, decimal commas",
        "read; decimal commas became a pattern of strings",
        "read; a column of decimal commas is a number",
        _INPUTS + "test_t1_a_german_export_gives_numbers_and_its_line_breaks",
    ),
    _row(
        "first line `sep=;`",
        "expected a column name of letters, digits and _ for the text, found `sep=`",
        "the line names the delimiter",
        _INPUTS + "test_t2_a_separator_line_is_no_header",
    ),
    _row(
        "v1,v2,,, in latin-1",
        "refused: another encoding; then: columns of different names, found `` twice",
        "the encoding is detected and told, columns without name and content are ignored",
        _INPUTS + "test_t3_columns_without_name_and_content_are_ignored_and_latin_1_is_read",
    ),
    _row(
        "a JSON array, pretty or on one line",
        "expected a JSON object, found Expecting value / found list",
        "its rows",
        _INPUTS + "test_t4_a_json_array_is_read_on_one_line_and_pretty",
    ),
    _row(
        "UPPER.JSONL",
        "read as csv, refused",
        "read by its content",
        _INPUTS + "test_t5_a_suffix_counts_in_any_case",
    ),
    _row(
        "OpenAI chats whose answer is JSON",
        "expected a column of varied text, found none among messages",
        "last user turn, keys of the answer as fields, the system prompt as first prompt version",
        _INPUTS + "test_t6a_chats_give_the_last_question_the_answers_keys_and_the_system_prompt",
    ),
    _row(
        "prompt and completion, a JSON text",
        "one field with whole JSON texts as labels",
        "its keys as fields",
        _INPUTS + "test_t6b_a_completion_that_is_json_gives_its_keys",
    ),
    _row(
        "an object in a column",
        "expected a column with the answer, found answer",
        "its keys as fields",
        _INPUTS + "test_t6c_a_nested_answer_gives_its_keys",
    ),
    _row(
        "`Consumer complaint narrative` as column",
        "expected a column name of letters, digits and _ for the text",
        "mapped to consumer_complaint_narrative",
        _INPUTS + "test_t7_names_with_blanks_are_mapped",
    ),
    _row(
        "columns Priority and priority, `Is urgent?` and is_urgent",
        "the first of each pair vanished without a word",
        "kept apart as priority and priority_2, told",
        _INPUTS + "test_t8_names_that_become_equal_are_kept_apart_and_told",
    ),
    _row(
        "12 rows with 5 labels; 90 rows with 40 intents",
        "the label became an input, which prompts show",
        "label, intent, category and the like are answers, whatever their count",
        _INPUTS + "test_t9_labels_by_name_are_answers_whatever_their_count",
    ),
    _row(
        "an id column that repeats",
        "drafted as a field of the answer",
        "left out, with the reason",
        _INPUTS + "test_t9b_an_id_that_repeats_is_left_out_with_the_reason",
    ),
    _row(
        "message, order_number (all different)",
        "taken for the id; expected a column with the answer",
        "the answer, because it stands in the texts",
        _INPUTS + "test_t9c_what_stands_in_the_text_is_the_answer_even_where_all_differ",
    ),
    _row(
        "7 of 67 rows repeat an input",
        "the draft could not run: at most 5.0% of the rows may be refused",
        "counted, told, and the draft leaves room for them",
        _INPUTS + "test_t12_a_draft_lets_the_repeated_rows_pass_that_the_source_has",
    ),
    _row(
        "one cell of 150,000 characters",
        "field larger than field limit: the file was refused",
        "that row is put aside",
        _INPUTS + "test_t15_a_cell_of_any_length_is_read_and_put_aside_when_it_is_too_long",
    ),
    _row(
        "007, NA, null, on/off, HTML, emoji and Arabic as labels, in UTF-16",
        "kept as texts",
        "kept as texts",
        _INPUTS + "test_t18_odd_labels_stay_what_they_are",
    ),
    _row(
        "NaN in a numeric column",
        "the column became an input",
        "null in a number",
        _INPUTS + "test_t19_nan_is_null",
    ),
    _row(
        "100,000 nested arrays",
        "traceback RecursionError",
        "one sentence with file and line",
        _INPUTS + "test_t20_what_is_nested_too_deeply_is_refused_with_its_line",
    ),
    _row(
        "an integer of 5,000 digits",
        "traceback ValueError",
        "a text",
        _INPUTS + "test_t20_a_whole_number_of_5000_digits_is_a_text",
    ),
    _row(
        "a Parquet file named .csv, in `gradus init`",
        "refused as damaged csv",
        "read as what it is",
        _READING + "test_parquet_is_known_by_its_content",
    ),
    _row(
        "a Parquet file named .csv, in the data stage",
        "expected text in utf-8, found byte …",
        "expected csv as text, found a Parquet file, whatever its name: `gradus init` converts it",
        _READING + "test_the_data_stage_names_a_parquet_file_that_is_called_csv",
    ),
    _row(
        "an Excel workbook, also under another suffix",
        "expected text in utf-8, found byte …",
        "its fullest sheet, told which",
        _READING + "test_a_workbook_is_known_by_its_content",
    ),
    _row(
        "the source lies where its rows would go",
        "found a file of the workload",
        "expected a source outside of data/shop, found the place where its rows go",
        _INPUTS + "test_a_source_that_lies_where_its_rows_would_go_is_told_so",
    ),
    _row(
        "exports of Langfuse",
        "refused",
        "question, answer and expected answer",
        _READING + "test_langfuse_as_its_client_writes_it",
    ),
    _row(
        "OpenTelemetry's GenAI spans, as OTLP and as the SDK prints them",
        "refused",
        "calls of models, by MLflow's translation",
        _READING + "test_opentelemetry_as_collectors_and_the_sdk_write_it",
    ),
    _row(
        "eight labels that are four words: in capitals, decomposed, with a zero-width space",
        "eight labels, without a word",
        "told with both forms and their counts; `validation.mend_labels` makes them one",
        _REPEATS + "test_labels_that_differ_in_form_or_case_are_told_with_both_and_their_counts",
    ),
    _row(
        "the same, with `validation.mend_labels`",
        "not there",
        "the commonest form that the schema knows",
        _REPEATS + "test_labels_are_mended_on_request_to_the_commonest_that_the_schema_knows",
    ),
    _row(
        "100 texts, each composed and decomposed",
        "no repeated rows; 42 of 80 evaluation rows had their twin in train",
        "repeated inputs: told, and left out",
        _REPEATS + "test_twins_that_differ_in_form_alone_are_repeated_inputs",
    ),
    _row(
        "90 texts from one template",
        "expected rows in every split, found none for dev (more rows do not help)",
        "near-duplicates are named as the cause, with the setting",
        _REPEATS + "test_near_duplicates_that_hold_all_rows_are_named_as_the_cause",
    ),
    _row(
        "4,000 texts from one template",
        "7,998,000 pairs, 36.5 s, 2.05 GB",
        "20,000 of them in less than half a gigabyte",
        _REPEATS + "test_twenty_thousand_rows_of_one_template_take_less_than_half_a_gigabyte",
    ),
    _row(
        "a group column with two customers",
        "expected rows in every split, the group not named",
        "the group is named as the cause",
        _REPEATS + "test_a_group_that_holds_most_rows_is_named_as_the_cause",
    ),
    _row(
        "a label with one row, in the sealed split",
        "no word",
        "told: nothing is learnt of it",
        _REPEATS + "test_labels_of_which_nothing_is_learnt_or_measured_are_told",
    ),
    _row(
        "classical on `$ref`, `anyOf` with null, nested objects",
        "intent 7 of 32 right, instead of 32 of 32",
        "the same answers as with inline enums",
        _MEANING + "test_the_classical_rung_learns_the_same_from_the_same_meaning",
    ),
    _row(
        "the audit on the same",
        "fields that it cannot judge",
        "the same doubts",
        _MEANING + "test_the_audit_doubts_the_same",
    ),
    _row(
        "a field that flips from 90 to 10 %, its schema in eight forms",
        "drift in two of them",
        "drift in all",
        _WATCH + "test_a_field_that_flips_is_drift_in_whatever_form_its_schema_is",
    ),
    _row(
        "numbers 100 times as large",
        "no drift",
        "drift, told as they are",
        _WATCH + "test_numbers_a_hundred_times_as_large_are_drift_and_are_told_as_they_are",
    ),
    _row(
        "one of 400 answers differs in a column that was constant",
        "drift of severity 587,271,557",
        "no drift",
        _WATCH + "test_a_column_that_never_varied_is_not_moved_by_few_odd_answers",
    ),
    _row(
        "many answers differ there",
        "drift",
        "drift",
        _WATCH + "test_a_column_that_never_varied_is_moved_when_many_answers_are_odd",
    ),
    _row(
        "everything constant",
        "traceback ValueError",
        "nothing has moved",
        _WATCH + "test_where_nothing_ever_varies_nothing_has_moved",
    ),
    _row(
        "another constant text",
        "traceback ZeroDivisionError",
        "drift of the inputs",
        _WATCH + "test_another_constant_text_is_an_input_drift",
    ),
    _row(
        "one invalid answer where there was none",
        "no drift",
        "no drift",
        _WATCH + "test_one_invalid_answer_where_there_never_was_one_is_no_drift",
    ),
    _row(
        "a property whose schema is `true`, in the watch",
        "traceback TypeError",
        "it has no column of its own, and the others are watched",
        _WATCH + "test_a_field_that_may_be_anything_has_no_column_and_stops_nothing",
    ),
    _row(
        "a request with `temperature`, `top_p`, `n`, `stream` null; `tool_choice: none` and what else asks for nothing",
        "400",
        "the answer without them",
        _CLIENTS + "test_parameters_that_ask_for_nothing_change_no_answer",
    ),
    _row(
        "an assistant's turn without content, content in parts, `developer`, `name`",
        "400 for the first",
        "answered",
        _CLIENTS + "test_turns_as_clients_send_them_are_taken",
    ),
    _row(
        "a tool's turn",
        "400: Input should be a valid string",
        "refused in words",
        _CLIENTS + "test_turns_that_are_no_text_are_refused_in_words",
    ),
    _row(
        "`logprobs`, `tools`, `reasoning_effort`",
        "400",
        "400 with the parameter's name and what to leave out",
        _CLIENTS + "test_what_is_not_supported_is_refused_by_its_name",
    ),
    _row(
        "`stop`",
        "400",
        "the answer ends before that text",
        _CLIENTS + "test_an_answer_ends_before_a_text_that_was_named",
    ),
    _row(
        "`/v1/responses`",
        "404",
        "the same answer, whole and in pieces",
        _CLIENTS + "test_a_response_holds_the_same_answer_whole_and_in_pieces",
    ),
    _row(
        "`/v1/completions`, `/v1/embeddings`",
        "404: Not Found",
        "named as unsupported",
        _CLIENTS + "test_other_ways_to_ask_are_named_as_unsupported",
    ),
    _row(
        "`max_tokens` of 3·10^8 and 10^12",
        "1.2 GB of memory; 500",
        "no more memory than the context can fill",
        "tests/components/serving/test_limits.py::test_a_number_of_tokens_takes_no_more_memory_than_the_model_can_fill",
    ),
    _row(
        "`<|im_end|>` in a customer's text",
        "one token, which closes the turn",
        "the pieces of a text, in training, engines and lengths",
        "tests/components/engines/test_chat.py::test_no_text_becomes_a_control_token",
    ),
    _row(
        "`response_format` with `$ref`, `anyOf`, arrays; keywords that no grammar can hold",
        "answered, or named",
        "answered, or named",
        _CONSTRAINT + "test_what_the_grammar_cannot_hold_to_is_refused_before_anything_is_answered",
    ),
    _row(
        "CRLF and white space around a served text",
        "two of 60 answers lost",
        "prepared as the data is",
        _PREPARING + "test_line_ends_and_white_space_of_a_text_are_those_of_the_data",
    ),
    _row(
        "null and true among several inputs",
        "served as None and True, trained as empty and true",
        "a row and a message with the same values give the same inputs",
        _PREPARING + "test_a_row_of_a_file_and_a_message_with_the_same_values_give_the_same_inputs",
    ),
    _row(
        "a correction that is no answer",
        "200 ok",
        "400, in words",
        "tests/components/serving/test_guards.py::test_what_can_be_no_correction_is_refused_on_arrival",
    ),
    _row(
        "HTTP_PROXY without NO_PROXY",
        "300 s of silence, then a traceback",
        "no proxy is asked for loopback",
        _PLACE + "test_loopback_goes_through_no_proxy_whatever_else_is_set",
    ),
    _row(
        "a PREFECT_API_URL where nobody answers",
        "traceback RuntimeError",
        "one sentence",
        _PLACE + "test_a_prefect_that_does_not_answer_is_one_sentence",
    ),
    _row(
        "a folder without .git",
        "traceback SCMError",
        "one sentence, before anything is written",
        _PLACE + "test_without_a_repository_a_run_is_refused_before_anything_is_written",
    ),
    _row(
        "a project in a folder of a larger repository",
        "bad DVC file name",
        "has data versions too",
        "tests/components/data/test_versions.py::test_a_project_in_a_folder_of_a_larger_repository_has_versions_too",
    ),
    _row(
        "blanks and umlauts in the project's path",
        "traceback xmlrpc Fault",
        "what no database can carry is refused in a sentence; the slow tests run a stage and the services there",
        _PLACE + "test_a_folder_that_no_database_can_carry_is_refused",
    ),
    _row(
        "a path of 118 characters",
        "AF_UNIX path too long",
        "a socket with a short path",
        _PLACE + "test_a_sockets_path_is_never_too_long",
    ),
    _row(
        "the virtual environment not on PATH",
        "exec: python: not found",
        "stages start the Python that runs",
        _PLACE + "test_stages_start_the_python_that_runs",
    ),
    _row(
        "a HOME that cannot be written",
        "runs",
        "one sentence where Prefect's own folder cannot be made",
        _PLACE + "test_a_home_of_prefect_that_cannot_be_made_is_one_sentence",
    ),
    _row(
        "a port in use",
        "uvicorn's errno, code 3",
        "one sentence",
        _PLACE + "test_a_taken_port_is_one_sentence",
    ),
    _row(
        "models that think before they answer",
        "256 tokens of thoughts, no JSON",
        "a setting of the profile; thoughts are no part of an answer",
        "tests/components/engines/test_thinking.py::test_thoughts_before_an_answer_are_no_part_of_it",
    ),
    _row(
        "answers in tables and messages: a chat that stands in the second of two such columns",
        "left out",
        "the column that holds a chat counts",
        _READING + "test_of_several_columns_that_chats_have_the_one_that_holds_a_chat_counts",
    ),
    _row(
        "an input that would get the name of an id, a group or a slice",
        "the other column's value in the input",
        "a name of its own",
        _INPUTS + "test_no_input_is_overwritten_by_a_column_whose_name_it_would_get",
    ),
]
