"""A cloud is asked for this machine's region: its own manners, every kind of failure, and when."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from standins.metadata import TOKEN, Answer, Service, aws, azure, gcp, standing

from jupyter_energy.carbon.here import Here
from jupyter_energy.carbon.metadata import ADDRESS_VARIABLE, Told, region
from jupyter_energy.config import Energy
from jupyter_energy.factors import Factors
from jupyter_energy.sensors.base import Machine

# A loaded machine may take long to answer itself; where silence is tested, the product's limit.
LONG_S = 60.0
SHORT_S = 0.05
AZURE_TAG = "7783-7084-3265-9085-8269-3286-77"


def machine(folder: Path, cloud: str | None = "aws", **environ: str) -> Machine:
    """A machine whose firmware names a cloud, with a clock that names no place."""
    dmi = folder / "sys/class/dmi/id"
    dmi.mkdir(parents=True, exist_ok=True)
    texts = {
        "aws": {"sys_vendor": "Amazon EC2"},
        "gcp": {"sys_vendor": "Google", "product_name": "Google Compute Engine"},
        "azure": {"sys_vendor": "Microsoft Corporation", "chassis_asset_tag": AZURE_TAG},
        None: {"sys_vendor": "LENOVO"},
    }[cloud]
    for name, text in texts.items():
        (dmi / name).write_text(text + "\n")
    return Machine(folder / "sys", folder / "proc", environ={"TZ": "UTC", **environ})


def asked(cloud: str, service: Service, limit_s: float = LONG_S, **environ: str) -> Told:
    """What is made of a service's answer."""
    with standing(service) as stands:
        return region(cloud, {ADDRESS_VARIABLE: stands.address, **environ}, limit_s)


def always(status: int, body: bytes = b"", **headers: str) -> Service:
    """A service that answers the same to everything."""
    answer: Answer = (status, headers, body)
    return lambda *_: answer


@contextmanager
def sending(*pieces: bytes, then_hang: bool = False) -> Iterator[str]:
    """The address of a server that sends these bytes, whatever it is asked, and closes or hangs."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while not over.is_set():
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    try:
                        connection.recv(4096)
                        for piece in pieces:
                            connection.sendall(piece)
                            over.wait(0.01)
                        if then_hang:
                            over.wait()
                    except OSError:
                        pass  # the one who asked has gone

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            over.set()
            socket.create_connection(server.getsockname()).close()  # accept() wakes up
            thread.join()


# -- the three services ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cloud", "service", "zone"),
    [
        ("aws", aws(), "aws:eu-west-3"),
        ("gcp", gcp(), "gcp:europe-west9"),
        ("gcp", gcp("projects/1/zones/us-central1-ai1a"), None),
        ("azure", azure(), "azure:westeurope"),
    ],
)
def test_each_cloud_is_asked_as_its_documents_say(
    cloud: str, service: Service, zone: str | None
) -> None:
    assert asked(cloud, service).zone == zone


def test_aws_is_asked_for_a_token_and_the_region_and_nothing_else() -> None:
    with standing(aws()) as stands:
        region("aws", {ADDRESS_VARIABLE: stands.address}, LONG_S)
    assert stands.asked == [
        "PUT /latest/api/token",
        "GET /latest/meta-data/placement/region",
    ]


@pytest.mark.parametrize(("cloud", "service"), [("gcp", gcp()), ("azure", azure())])
def test_the_others_are_asked_once(cloud: str, service: Service) -> None:
    with standing(service) as stands:
        region(cloud, {ADDRESS_VARIABLE: stands.address}, LONG_S)
    assert len(stands.asked) == 1


def test_no_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert asked("aws", aws(), http_proxy="http://127.0.0.1:9").zone == "aws:eu-west-3"


def test_a_service_without_tokens_is_not_asked_the_old_way() -> None:
    with standing(always(404, b"Not Found")) as stands:
        told = region("aws", {ADDRESS_VARIABLE: stands.address}, LONG_S)
    assert stands.asked == ["PUT /latest/api/token"]
    assert told == Told(None, "Amazon EC2 did not tell its region: it answered 404")


def test_who_switched_the_service_off_for_aws_is_heard() -> None:
    with standing(aws()) as stands:
        environ = {ADDRESS_VARIABLE: stands.address, "AWS_EC2_METADATA_DISABLED": "True"}
        told = region("aws", environ, LONG_S)
    assert stands.asked == []
    assert (told.zone, "AWS_EC2_METADATA_DISABLED is set" in told.why) == (None, True)


# -- what goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize("cloud", ["aws", "gcp", "azure"])
@pytest.mark.parametrize(
    "service",
    [
        always(200, b""),
        always(200, b"<html>Please log in</html>"),
        always(200, b"x" * 100_000),
        always(200, b"\xff\xfe\x00"),
        always(200, b"eu-west-3\r\nX-Evil: 1"),
        always(204),
        always(302, Location="http://example.org/"),
        always(401),
        always(403),
        always(429),
        always(500, b"eu-west-3"),
    ],
)
def test_an_answer_that_is_no_region_gives_none_and_a_reason(cloud: str, service: Service) -> None:
    told = asked(cloud, service)
    assert told.zone is None
    assert told.why
    assert told.final


def test_an_answer_without_googles_header_is_not_googles() -> None:
    told = asked("gcp", gcp(flavor="Other"))
    assert (told.zone, "not Google's service" in told.why) == (None, True)


def test_neither_token_nor_project_number_is_ever_told() -> None:
    for told in (asked("aws", aws("<nothing>")), asked("gcp", gcp("projects/4711/zones/?"))):
        assert told.zone is None
        assert TOKEN not in repr(told)
        assert "4711" not in repr(told)


@pytest.mark.parametrize("cloud", ["aws", "gcp", "azure"])
@pytest.mark.parametrize(
    "pieces",
    [
        (),
        (b"\x00\x01\x02",),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\neu-west-3",),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\neu",),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",),
        # More bytes than fit into a number of the machine.
        (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\neu",),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 30 + b"\r\neu",),
        (b"HTTP/9 hello\r\n\r\n",),
        (b"\r\n\r\n",),
    ],
)
def test_what_is_no_whole_answer_gives_none_and_a_reason(
    cloud: str, pieces: tuple[bytes, ...]
) -> None:
    with sending(*pieces) as address:
        told = region(cloud, {ADDRESS_VARIABLE: address}, LONG_S)
    assert (told.zone, told.final) == (None, True)
    assert told.why


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nwesteurope",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nwesteurope\r\n0\r\n\r\n",
    ],
)
def test_a_whole_answer_counts_though_the_connection_stays_open(answer: bytes) -> None:
    with sending(answer[:30], answer[30:], then_hang=True) as address:
        told = region("azure", {ADDRESS_VARIABLE: address}, LONG_S)
    assert told.zone == "azure:westeurope"


def test_an_answer_may_end_with_its_connection() -> None:
    with sending(b"HTTP/1.1 200 OK\r\n\r\nwesteurope") as address:
        told = region("azure", {ADDRESS_VARIABLE: address}, LONG_S)
    assert told.zone == "azure:westeurope"


@pytest.mark.parametrize("cloud", ["aws", "gcp", "azure"])
def test_silence_ends_in_time(cloud: str) -> None:
    with sending(then_hang=True) as address:
        told = region(cloud, {ADDRESS_VARIABLE: address}, SHORT_S)
    assert told.zone is None
    assert told.why.endswith("did not tell its region within 0.05 s")


def test_an_answer_that_drips_ends_in_time() -> None:
    with sending(b"HTTP/1.1 200 OK\r\n", *[b"X: y\r\n"] * 1000) as address:
        told = region("azure", {ADDRESS_VARIABLE: address}, SHORT_S)
    assert told.why.endswith("within 0.05 s")


def test_a_machine_that_refuses_the_connection_gives_none_and_a_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    told = region("aws", {ADDRESS_VARIABLE: f"127.0.0.1:{port}"}, LONG_S)
    assert (told.zone, "refused" in told.why) == (None, True)


@pytest.mark.parametrize("address", ["8.8.8.8:80", "example.org:80", "[2001:db8::1]:80", "x", ":"])
def test_the_service_is_never_asked_away_from_this_machine(address: str) -> None:
    told = region("aws", {ADDRESS_VARIABLE: address}, LONG_S)
    assert (told.zone, told.why.startswith("Amazon EC2 did not tell")) == (None, True)
    if address[-3:] == ":80" and address[0] != "e":  # what is no address is refused as such
        assert told.why.endswith(f"{ADDRESS_VARIABLE} is neither link-local nor this machine's own")


# -- when it is asked ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cloud", "setting"),
    [("aws", None), ("aws", ""), ("aws", "FR"), (None, "auto")],
)
def test_nothing_is_asked_without_the_users_word_or_off_a_cloud(
    tmp_path: Path, cloud: str | None, setting: str | None
) -> None:
    with standing(aws()) as stands:
        here = Here(machine(tmp_path, cloud, **{ADDRESS_VARIABLE: stands.address}), LONG_S)
        here.intensity(setting, "the settings file")
        here.wait()
        here.intensity(setting, "the settings file")
    assert stands.asked == []


@pytest.mark.parametrize(
    ("cloud", "service", "zone", "name"),
    [
        ("aws", aws, "aws:eu-west-3", "Amazon EC2"),
        ("gcp", gcp, "gcp:europe-west9", "Google Compute Engine"),
        ("azure", azure, "azure:westeurope", "Azure"),
    ],
)
def test_with_the_users_word_the_region_is_told_and_nothing_is_assumed(
    tmp_path: Path, cloud: str, service: Callable[[], Service], zone: str, name: str
) -> None:
    with standing(service()) as stands:
        here = Here(machine(tmp_path, cloud, **{ADDRESS_VARIABLE: stands.address}), LONG_S)
        here.intensity("auto", "the settings file")
        here.wait()
        found = here.intensity("AUTO", "JUPYTER_ENERGY_ZONE")
    assert (found.zone, found.assumed) == (zone, False)
    assert found.how == f"told by {name}'s metadata service"


def test_until_the_machine_has_answered_the_assumption_counts_and_says_so(tmp_path: Path) -> None:
    answered, told = threading.Event(), aws()

    def slow(method: str, path: str, headers: dict[str, str]) -> Answer:
        answered.wait()
        return told(method, path, headers)

    with standing(slow) as stands:
        here = Here(machine(tmp_path, **{ADDRESS_VARIABLE: stands.address}), LONG_S)
        first = here.intensity("auto", "the settings file")
        assert (first.zone, first.assumed) == ("WORLD", True)
        assert first.how == "assumed: Amazon EC2 is being asked for its region"
        assert here.intensity("auto", "the settings file") == first
        answered.set()
        here.wait()
        assert here.intensity("auto", "the settings file").zone == "aws:eu-west-3"
        assert len(stands.asked) == 2  # however often a cell ends, it is asked once


@pytest.mark.parametrize(("zone", "is_asked"), [("auto", True), ("", False)])
def test_a_session_asks_when_it_begins_so_that_its_first_cell_need_not(
    tmp_path: Path, zone: str, is_asked: bool
) -> None:
    heard, told = threading.Event(), aws()

    def hearing(method: str, path: str, headers: dict[str, str]) -> Answer:
        heard.set()
        return told(method, path, headers)

    with standing(hearing) as stands:
        here = machine(tmp_path, **{ADDRESS_VARIABLE: stands.address})
        moved = {"JUPYTER_ENERGY_SYSFS": str(here.sysfs), "JUPYTER_ENERGY_PROCFS": str(here.procfs)}
        environ = {**here.environ, **moved, "JUPYTER_ENERGY_ZONE": zone}
        factors = Factors(Energy(environ=environ), environ)
        assert heard.wait(LONG_S if is_asked else SHORT_S) == is_asked
        factors.close()


def test_a_machine_that_does_not_tell_is_assumed_to_be_anywhere_and_says_why(
    tmp_path: Path,
) -> None:
    with standing(always(403)) as stands:
        here = Here(machine(tmp_path, **{ADDRESS_VARIABLE: stands.address}), LONG_S)
        here.intensity("auto", "the settings file")
        here.wait()
        found = here.intensity("auto", "the settings file")
        here.intensity("auto", "the settings file")
        assert len(stands.asked) == 1
    assert (found.zone, found.assumed) == ("WORLD", True)
    assert found.how == "assumed: Amazon EC2 did not tell its region: it answered 403"


def test_a_region_that_no_table_knows_is_assumed_to_be_anywhere_and_named(tmp_path: Path) -> None:
    with standing(aws("xx-new-1")) as stands:
        here = Here(machine(tmp_path, **{ADDRESS_VARIABLE: stands.address}), LONG_S)
        here.intensity("auto", "the settings file")
        here.wait()
        found = here.intensity("auto", "the settings file")
    assert (found.zone, found.assumed) == ("WORLD", True)
    assert "no figure for aws:xx-new-1 (told by Amazon EC2's metadata service)" in found.how
