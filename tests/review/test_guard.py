"""Who gets an answer: only the browser that was given the token, from the server's own page."""

from __future__ import annotations

import os
import shutil
import time

import pytest
from conftest import EXAMPLES
from served import START_SECONDS, served

PATHS = ("/", "/static/index.html", "/album", "/changes?generation=1&since=0", "/nothing")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An album with links, beside a private photo and a private file."""
    place = tmp_path_factory.mktemp("place")
    album = place / "album"
    (album / "inside").mkdir(parents=True)
    shutil.copy(EXAMPLES / "kitten.jpeg", album)
    shutil.copy(EXAMPLES / "kitten.jpeg", place / "private.jpeg")
    (album / "out.jpeg").symlink_to(place / "private.jpeg")
    (album / "in.jpeg").symlink_to("kitten.jpeg")
    (album / "secret.txt").write_text("no photo")
    (album / "<img src=x onerror=alert(1)>.jpg").write_text("no photo")
    rows = ["kitten.jpeg", "out.jpeg", "in.jpeg", "gone.jpeg", "secret.txt"]
    rows.append("<img src=x onerror=alert(1)>.jpg")
    (album / "t.csv").write_text("path,label\n" + "".join(f"{row},cat\n" for row in rows))
    return album


@pytest.fixture(scope="module")
def server(folder):
    with served("t.csv", cwd=folder) as server:
        yield server


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("cookie", [None, "dogsort=x", "dogsort-1=x; a=b", "\xff=;;,"])
def test_without_the_cookie_nothing_is_answered(server, path, cookie):
    own = cookie and cookie.replace("-1", f"-{server.port}")
    assert server.get(path, Cookie=own).status == 403
    assert server.get(f"{path}{'&' if '?' in path else '?'}token=x", Cookie=own).status == 403


@pytest.mark.parametrize("other", ['state={"a": 1}', "a[b]=c", "bad name=1", 'x="', "@=1", "flag"])
def test_cookies_of_other_ports_are_no_trouble(server, other):
    assert server.get("/album", Cookie=f"{other}; {server.cookie}").status == 200
    assert server.get("/album", Cookie=f"{server.cookie}; {other}").status == 200
    assert server.get("/album", Cookie=other).status == 403


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:{port}"},
        {"Host": "127.0.0.1.evil.example:{port}"},
        {"Host": "192.168.1.1:{port}"},
        {"Host": ""},
        {"Host": "[::1"},
        {"Host": "localhost@evil.example:{port}"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://localhost:{port}"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://["},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_other_hosts_and_pages_are_refused(server, path, headers):
    given = {name: value.format(port=server.port) for name, value in headers.items()}
    assert server.get(path, **given).status == 403
    if "Sec_Fetch_Site" not in given:
        assert server.ask("GET", f"/?token={server.token}", **given).status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Cookie": None},
        {"Origin": None},
        {"Origin": "http://evil.example"},
        {"Host": "evil.example"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", ["/labels", "/undo", "/plan", "/file", "/file/undo", "/done"])
def test_no_other_page_can_change_anything(server, path, headers):
    content = {"generation": server.album()["generation"], "rows": [0], "label": "dog"}
    assert server.post(path, content, **headers).status == 403
    assert server.album()["columns"]["network_label"][0] == -1


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
def test_what_a_form_elsewhere_could_send_is_refused(server, kind):
    assert server.post("/done", Content_Type=kind).status == 415
    assert server.process.poll() is None


def test_the_port_may_be_another_one_as_with_ssh(server):
    host = "localhost:1234"
    assert server.get("/album", Host=host).status == 200
    answer = server.post("/undo", {"generation": 1}, Host=host, Origin=f"http://{host}")
    assert answer.status == 409


def test_headers_of_every_answer(server):
    for path, cookie in (("/", server.cookie), ("/static/index.html", server.cookie), ("/", None)):
        headers = server.get(path, Cookie=cookie).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers
        assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_terminal_in_the_browser_may_link_to_the_address(server, site):
    answer = server.ask("GET", f"/?token={server.token}", Sec_Fetch_Site=site)
    # Not a redirect: a browser would follow that as a request from elsewhere, without the cookie.
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["refresh"] == "0; url=/"
    assert answer.headers["set-cookie"].startswith(server.cookie)
    assert server.ask("GET", "/?token=x", Sec_Fetch_Site=site).status == 403


@pytest.mark.skipif(os.name == "nt", reason="a script of Unix as the browser")
def test_the_browser_gets_a_token_that_works_once(folder, tmp_path):
    """Other users of the machine can read a browser's command line."""
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f"#!/bin/sh\necho \"$1\" > '{opened}.new'; mv '{opened}.new' '{opened}'\n")
    browser.chmod(0o755)
    shutil.copy(folder / "t.csv", folder / "once.csv")
    given = {"BROWSER": f"{browser} %s", "DISPLAY": ":0"}
    with served("once.csv", cwd=folder, browser=True, **given) as server:
        deadline = time.monotonic() + START_SECONDS
        while not opened.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        address = opened.read_text().strip()
        assert server.token not in address
        path = address.removeprefix(f"http://127.0.0.1:{server.port}")
        assert [server.ask("GET", path).status for _ in range(2)] == [303, 403]
        assert server.ask("GET", f"/?token={server.token}").status == 303


def test_the_cookie_is_for_this_page_only(server):
    answer = server.ask("GET", f"/?token={server.token}")
    assert (answer.status, answer.headers["location"]) == (303, "/")
    for part in ("HttpOnly", "SameSite=strict", "Path=/"):
        assert part in answer.headers["set-cookie"]
    assert server.token not in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static//etc/passwd",
        "/static/%2fetc/passwd",
        "/../t.csv",
        "/t.csv",
        "/kitten.jpeg",
        "/thumbnail/{generation}/../../kitten.jpeg?size=160",
        "/thumbnail/{generation}/kitten.jpeg?size=160",
        "/photo/{generation}/-1",
    ],
)
def test_files_are_not_to_be_had_by_name(server, path):
    generation = server.album()["generation"]
    answer = server.get(path.format(generation=generation))
    assert answer.status in (404, 405)


def test_only_rows_of_the_table_are_shown(server):
    generation = server.album()["generation"]
    for path in ("/thumbnail/{}/{}?size=160", "/photo/{}/{}", "/facts/{}/{}"):
        assert server.get(path.format(generation, 0)).status == 200
        assert server.get(path.format(generation, 6)).status == 400
        assert server.get(path.format(generation, 10**30)).status == 400
        assert server.get(path.format(generation + 1, 0)).status == 409
    for size in ("", "x", "0", "161", "99999999999"):
        assert server.get(f"/thumbnail/{generation}/0?size={size}").status == 400


def test_pictures_are_pictures_whatever_the_file(server):
    generation = server.album()["generation"]
    for path in ("/thumbnail/{}/{}?size=160", "/photo/{}/{}"):
        answer = server.get(path.format(generation, 0))
        assert answer.headers["content-type"] == "image/jpeg"
        assert "immutable" in answer.headers["cache-control"]
        assert server.get(path.format(generation, 2)).status == 200
        for row in (3, 4, 5):  # missing, or not photos
            answer = server.get(path.format(generation, row))
            assert (answer.status, answer.headers["content-type"]) == (404, "application/json")


def test_a_link_of_a_stranger_shows_nothing_outside(server, folder):
    generation = server.album()["generation"]
    for path in ("/thumbnail/{}/1?size=160", "/photo/{}/1", "/facts/{}/1"):
        answer = server.get(path.format(generation))
        assert (answer.status, "leads out" in answer.json["error"]) == (404, True)
    # The folder around both may be named.
    shutil.copy(folder / "t.csv", folder / "wider.csv")
    with served("wider.csv", "--photos", "..", cwd=folder) as wider:
        assert wider.get(f"/photo/{wider.album()['generation']}/1").status == 200


def test_a_folder_that_becomes_a_link_shows_and_moves_nothing_outside(tmp_path, monkeypatch):
    (tmp_path / "album" / "sub").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    for place in ("album/sub", "other"):
        shutil.copy(EXAMPLES / "kitten.jpeg", tmp_path / place)
    (tmp_path / "album" / "t.csv").write_text("path,label\nsub/kitten.jpeg,cat\n")
    with served("t.csv", "--photos", ".", cwd=tmp_path / "album") as server:
        generation = server.album()["generation"]
        assert server.get(f"/photo/{generation}/0").status == 200
        shutil.rmtree(tmp_path / "album" / "sub")
        (tmp_path / "album" / "sub").symlink_to(tmp_path / "other")
        assert server.get(f"/photo/{generation}/0").status == 404
        for path in ("/plan", "/file"):
            answer = server.post(path, {"generation": generation, "action": "move"})
            assert (answer.status, "is not below" in answer.json["error"]) == (507, True)
    assert (tmp_path / "other" / "kitten.jpeg").exists()


@pytest.mark.parametrize("path", ["../private.jpeg", "/etc/passwd", "inside/../../private.jpeg"])
def test_a_table_with_paths_outside_is_refused(dogsort, folder, path):
    (folder / "bad.csv").write_text(f"path,label\nkitten.jpeg,cat\n{path},dog\n")
    run = dogsort("review", "bad.csv", "--no-browser", cwd=folder)
    assert run.returncode == 1
    assert f"{path} is not below ." in run.stderr.decode()
    assert "--photos" in run.stderr.decode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"generation": "x", "rows": [0], "label": "dog"}',
        b'{"generation": %d, "rows": 0, "label": "dog"}',
        b'{"generation": %d, "rows": [true], "label": "dog"}',
        b'{"generation": %d, "rows": [0.5], "label": "dog"}',
        b'{"generation": %d, "rows": ["../x"], "label": "dog"}',
        b'{"generation": %d, "rows": [6], "label": "dog"}',
        b'{"generation": %d, "rows": [-1], "label": "dog"}',
        b'{"generation": %d, "rows": [0], "label": "failed"}',
        b'{"generation": %d, "rows": [0], "label": ["dog"]}',
        b'{"generation": %d, "rows": [0]}',
    ],
)
def test_requests_that_make_no_sense(server, content):
    generation = server.album()["generation"]
    body = content.replace(b"%d", str(generation).encode())
    answer = server.post("/labels", body)
    assert answer.status == (409 if b'"x"' in content else 400)
    assert answer.json["error"]
    assert server.album()["version"] == 0


def test_other_methods_are_refused(server):
    assert server.get("/labels").status == 405
    assert server.post("/album").status == 405


def test_other_machines_are_let_in_only_on_request_and_with_a_warning(folder):
    shutil.copy(folder / "t.csv", folder / "open.csv")
    with served("open.csv", "--host", "0.0.0.0", cwd=folder) as server:  # noqa: S104
        assert any("not encrypted" in line for line in server.said)
        for host, status in (("192.168.1.1", 200), (os.uname().nodename, 200), ("evil.org", 403)):
            assert server.get("/album", Host=f"{host}:{server.port}").status == status
