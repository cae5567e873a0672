"""Files that people reported, what happened to them before, what happens now, and the test that shows it."""

_INPUTS = "tests/components/data/test_inputs.py::"
_READING = "tests/components/data/test_reading.py::"


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
]
