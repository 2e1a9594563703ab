"""Log lines: those of `logging` and of warnings stand among ours, each once, with all that they say."""

import contextvars
import json
import logging
import threading
import warnings

import pytest

from qqops import Plugin


@pytest.fixture(params=["text", "json"])
def log_format(request):
    return request.param


def entries(file):
    return [json.loads(line) for line in file.getvalue().splitlines()]


def test_a_line_of_logging_has_level_logger_and_extra(logged):
    file = logged("json", "info")
    logging.getLogger("paho.client").warning("lost %s after %d s", "mq", 3, extra={"broker": "mq:1883"})
    [line] = entries(file)
    line.pop("timestamp")
    assert line == {
        "event": "lost mq after 3 s", "level": "warning", "logger": "paho.client", "broker": "mq:1883",
    }  # fmt: skip


def test_readable_lines_say_the_same(logged):
    file = logged("text", "info")
    logging.getLogger("paho.client").warning("lost %s", "mq", extra={"broker": "mq:1883"})
    line = file.getvalue()
    assert all(part in line for part in ("[warning", "lost mq", "paho.client", "broker=mq:1883"))
    assert line.count("\n") == 1


def test_an_exception_of_logging_is_written_once_with_its_traceback(logged, log_format):
    file = logged(log_format, "info")
    try:
        {}["nothing"]
    except KeyError:
        logging.getLogger("lib").exception("it failed")
    text = file.getvalue()
    assert text.count("it failed") == 1
    assert "KeyError" in text
    assert "test_logs.py" in text


def test_groups_and_causes_keep_file_line_and_function_in_json(logged):
    file = logged("json", "info")

    def inner():
        raise KeyError("deep")

    try:
        try:
            inner()
        except KeyError as exc:
            raise ExceptionGroup("several", [ValueError("one"), OSError("two")]) from exc
    except ExceptionGroup:
        logging.getLogger("lib").exception("it failed")
    [group, cause] = entries(file)[0]["exception"]
    assert (group["exc_type"], group["is_group"], cause["is_cause"]) == ("ExceptionGroup", True, True)
    assert [one[0]["exc_value"] for one in group["exceptions"]] == ["one", "two"]
    assert cause["frames"][-1]["name"] == "inner"
    assert cause["frames"][-1]["filename"].endswith("test_logs.py")
    assert cause["frames"][-1]["lineno"] > 0


def test_what_libraries_say_for_debugging_is_heard_only_at_that_level(logged, log_format):
    noisy = logging.getLogger("noisy")
    noisy.setLevel(logging.DEBUG)  # as some libraries do
    try:
        file = logged(log_format, "info")
        noisy.debug("frame")
        assert file.getvalue() == ""
        file = logged(log_format, "debug")
        noisy.debug("frame")
        assert file.getvalue().count("frame") == 1
    finally:
        noisy.setLevel(logging.NOTSET)


def test_setting_up_again_doubles_nothing(logged):
    logged("json", "info")
    file = logged("json", "info")
    logging.getLogger("lib").error("once")
    assert [line["event"] for line in entries(file)] == ["once"]


@pytest.mark.parametrize(
    ("number", "name"), [(5, "debug"), (25, "info"), (30, "warning"), (45, "error"), (60, "critical")]
)
def test_levels_of_others_count_as_the_next_below(logged, number, name):
    file = logged("json", "debug")
    logging.getLogger("lib").setLevel(1)
    try:
        logging.getLogger("lib").log(number, "x")
    finally:
        logging.getLogger("lib").setLevel(logging.NOTSET)
    # The root begins at debug; what is below passes only where its own logger lets it.
    assert [line["level"] for line in entries(file)] == ([name] if number >= 10 else [])


def test_words_of_a_line_are_not_taken_by_extra(logged):
    file = logged("json", "info")
    logging.getLogger("lib").error("what happened", extra={"event": "mine", "level": 3})
    [line] = entries(file)
    assert (line["event"], line["level"], line["extra_event"], line["extra_level"]) == (
        "what happened", "error", "mine", 3,
    )  # fmt: skip


def test_a_line_whose_arguments_do_not_fit_is_named_without_them(logged, log_format, capsys):
    file = logged(log_format, "info")
    logging.getLogger("lib").error("%d apples", "hunter2-hunter2")
    assert "a log line cannot be made" in file.getvalue()
    assert "test_logs.py:" in file.getvalue()
    assert "hunter2-hunter2" not in file.getvalue() + "".join(capsys.readouterr())


def test_warnings_are_lines_as_well(logged):
    file = logged("json", "warning")
    warnings.simplefilter("always")
    warnings.warn("it is going away", DeprecationWarning, stacklevel=1)
    [line] = entries(file)
    assert (line["level"], line["logger"]) == ("warning", "py.warnings")
    assert "it is going away" in line["event"]


def test_what_another_thread_logs_arrives(logged):
    file = logged("json", "info")
    thread = threading.Thread(target=logging.getLogger("lib").error, args=("from far",))
    thread.start()
    thread.join()
    assert [line["event"] for line in entries(file)] == ["from far"]


async def test_lines_of_libraries_in_a_run_carry_it(logged, bots):
    plugin = Plugin("deploy")
    lib = logging.getLogger("lib")

    @plugin.command("plain")
    def plain() -> str:
        lib.warning("plain def")
        return "x"

    @plugin.command("waits")
    async def waits() -> str:
        lib.warning("async def")
        # As `trio.to_thread` does; on virtual time nobody waits for a thread of its own.
        thread = threading.Thread(target=contextvars.copy_context().run, args=(lib.warning, "its thread"))
        thread.start()
        thread.join()
        return "x"

    file = logged("json", "info")
    async with bots.run(plugin) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("/plain")
        await bot.expect("x")
        await ali.say("/waits")
        await bot.expect("x")
    mine = [line for line in entries(file) if line.get("logger") == "lib"]
    assert [line["event"] for line in mine] == ["plain def", "async def", "its thread"]
    assert {line["plugin"] for line in mine} == {"deploy"}
    assert all(line["run"] and line["room"] for line in mine)


def test_a_closed_stream_harms_nobody_who_logs(logged):
    logged("text", "info").close()
    logging.getLogger("lib").error("nobody hears it")
