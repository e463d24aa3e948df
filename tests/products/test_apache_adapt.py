"""A user's Apache files as the lab runs them: what is replaced, what is not, and which rules lead to the model."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.errors import BadInput
from lab.products.adapted import Entrance, EntranceWish
from lab.products.apache import PRODUCT
from lab.products.apache.adapt import Apache, adapt

Write = Callable[[str], Path]

FILES = Path(__file__).parents[1] / "verify" / "files" / "apache"

WHOLE = """\
ServerRoot "/etc/httpd"
LoadModule mpm_worker_module modules/mod_mpm_worker.so
LoadModule unixd_module modules/mod_unixd.so
LoadModule ssl_module modules/mod_ssl.so
LoadModule deflate_module modules/mod_deflate.so
LoadModule jk_module modules/mod_jk.so
Listen 80
Listen [2001:db8::1]:443 https
User apache
Group apache
PidFile /run/httpd.pid
MaxRequestWorkers 20
Timeout 120
KeepAliveTimeout 9
ErrorLog "|/usr/sbin/rotatelogs logs/error 86400"
LogLevel warn
JkWorkersFile conf/workers.properties
SSLSessionCache shmcb:/run/httpd/cache(512000)
<Proxy "https://gpu.internal:8443/">
    ProxySet timeout=300 max=8
</Proxy>
<VirtualHost *:80>
    ServerName chat.example.com
    Redirect permanent / https://chat.example.com/
</VirtualHost>
<VirtualHost [2001:db8::1]:443 192.0.2.7:443>
    ServerName chat.example.com
    SSLEngine on
    SSLCertificateFile /etc/pki/rsa.pem
    SSLCertificateFile /etc/pki/ec.pem
    SSLCertificateKeyFile /etc/pki/rsa.key
    SSLProtocol all -SSLv3
    SSLVerifyClient require
    Protocols h2 http/1.1
    ProxyTimeout 240
    ProxyErrorOverride Off
    SetOutputFilter DEFLATE
    SetEnv proxy-sendchunked 1
    RewriteMap names txt:/etc/httpd/names
    ProxyPass /socket unix:/run/x.sock|http://localhost/v1 retry=0
    ProxyPass /v1/ https://gpu.internal:8443/v1/ enablereuse=on hcmethod=GET max=8 \\
        keepalive=On
    <Location "/v1/">
        AuthType Basic
        <RequireAll>
            Require valid-user
            Require ip 10.0.0.0/8
        </RequireAll>
        Require all denied
    </Location>
    CustomLog logs/access "%h %T"
</VirtualHost>
"""


@pytest.fixture(name="write")
def _write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "httpd.conf"
        path.write_text(text)
        return path

    return write


def entrance_at(adapter: Apache, start: str) -> Entrance:
    """The one entrance whose name begins so."""
    (found,) = [each for each in adapter.entrances if each.name.startswith(start)]
    return found


def lines(text: str) -> list[str]:
    """The lines of a copy, without their indentation."""
    return [line.strip() for line in text.splitlines()]


def site(*rules: str, head: str = "") -> str:
    """One site with these lines in it."""
    inside = "".join(f"    {each}\n" for each in rules)
    return f"{head}<VirtualHost *:80>\n    ServerName a.example.com\n{inside}</VirtualHost>\n"


def test_what_names_this_machine_or_its_neighbours_is_replaced(write: Write) -> None:
    """Listeners, upstreams, certificates, users, logs and modules; the site that only redirects is no entrance."""
    adapter = adapt(write(WHOLE), EntranceWish())
    entrance = entrance_at(adapter, "ProxyPass /v1/")
    copy = lines(adapter.copy(entrance))
    assert (entrance.path, entrance.host) == ("/v1/chat/completions", "chat.example.com")
    assert (entrance.secure, entrance.http_2) == (True, True)
    for line in (
        "Listen ${PORT}",
        "<VirtualHost *:${PORT}>",
        "SSLCertificateFile ${CERTIFICATE}",
        "SSLCertificateKeyFile ${CERTIFICATE}",
        "<Proxy http://${MODEL}/>",
        "ProxySet timeout=300",
        "ProxyPass /socket http://${MODEL}/v1 retry=0",
        "ProxyPass /v1/ http://${MODEL}/v1/ enablereuse=on keepalive=On",
        "RewriteMap names int:tolower",
        'CustomLog /dev/stdout "%h %T"',
        "LoadModule mpm_worker_module ${TOKEN_STREAM_LAB_MODULES}/mod_mpm_worker.so",
    ):
        assert copy.count(line) == 1, line
    assert copy.count("Require all granted") == 2
    for word in (
        "gpu",
        "192.0.2",
        "2001:db8",
        "/etc/",
        "/run/",
        "modules/mod_",
        "PidFile",
        "apache",
        "jk",
        "Jk",
        "Auth",
    ):
        found = [line for line in copy if re.search(rf"(?<![\w-]){re.escape(word)}", line)]
        assert [line for line in found if "TOKEN_STREAM_LAB" not in line and "IfFile" not in line] == [], word
    assert "MaxRequestWorkers 20" not in copy
    assert "Redirect" not in adapter.copy(entrance)


def test_nothing_that_bears_on_streaming_is_touched(write: Write) -> None:
    """Every other line stands in the copy as it does in the file, in its order."""
    adapter = adapt(write(WHOLE), EntranceWish())
    entrance = entrance_at(adapter, "ProxyPass /v1/")
    kept = """\
Timeout 120
KeepAliveTimeout 9
LogLevel warn
ServerName chat.example.com
SSLEngine on
SSLProtocol all -SSLv3
Protocols h2 http/1.1
ProxyTimeout 240
ProxyErrorOverride Off
SetOutputFilter DEFLATE
SetEnv proxy-sendchunked 1
Require all denied""".splitlines()
    assert [line for line in lines(adapter.copy(entrance)) if line in kept] == kept
    streaming = re.compile("timeout|keepalive|set(output|env)|addoutput|proxy(error|timeout|io)|limit|protocols", re.I)
    assert not [each for each in adapter.replacements(entrance) if streaming.match(each.spot.text)]


def test_every_replacement_is_listed_with_its_place(write: Write) -> None:
    """And nothing else is otherwise: what of the file is not in the copy as it stands is listed."""
    path = write(WHOLE)
    adapter = adapt(path, EntranceWish())
    entrance = entrance_at(adapter, "ProxyPass /v1/")
    told = adapter.replacements(entrance)
    assert f"{path}:11: PidFile /run/httpd.pid -> left out (the lab starts it, in the foreground)" in map(str, told)
    listed = {each.spot.line for each in told}
    copy = lines(adapter.copy(entrance))
    own = WHOLE.splitlines()
    other_site, continued = set(range(22, 26)), own.index("        keepalive=On") + 1
    for number, line in enumerate(own, 1):
        assert number in listed | other_site | {continued} or line.strip() in copy, line


def test_a_part_gets_the_modules_that_it_does_not_load(write: Write) -> None:
    """As a file of `sites-enabled` does; where a file loads some, they are all that there are."""
    rule = "ProxyPass / http://gpu:80/"
    part = adapt(write(site(rule)), EntranceWish())
    copy = part.copy(entrance_at(part, "ProxyPass"))
    for module in ("mpm_event", "proxy_http", "ssl", "rewrite", "deflate"):
        assert f"LoadModule {module}_module " in copy
    assert "Listen ${PORT}" in copy
    whole = adapt(write(site(rule, head="LoadModule proxy_module modules/mod_proxy.so\nListen 80\n")), EntranceWish())
    copy = whole.copy(entrance_at(whole, "ProxyPass"))
    assert "LoadModule mpm_event_module " in copy
    assert "LoadModule deflate_module " not in copy
    assert copy.count("Listen ${PORT}") == 1


def test_a_condition_counts_as_apache_decides_it(write: Write) -> None:
    """By modules that are loaded, by names that are defined, and the other way round."""
    head = "LoadModule proxy_module m/mod_proxy.so\nListen 80\nDefine two\n"
    rules = [
        "<IfModule mod_ssl.c>", "ProxyPass /no/ http://a:80/", "</IfModule>",
        "<IfModule proxy_module>", "ProxyPass /one/ http://a:80/", "</IfModule>",
        "<IfModule !mod_proxy.c>", "ProxyPass /not/ http://a:80/", "</IfModule>",
        "<IfDefine two>", "ProxyPass /two/ http://a:80/", "</IfDefine>",
        "<IfDefine !two>", "ProxyPass /three/ http://a:80/", "</IfDefine>",
    ]  # fmt: skip
    adapter = adapt(write(site(*rules, head=head)), EntranceWish())
    assert [each.name.split()[1] for each in adapter.entrances] == ["/one/", "/two/"]
    nowhere = "LoadModule proxy_module m/mod_proxy.so\n<IfModule mod_ssl.c>\nListen 443\n</IfModule>\n"
    adapter = adapt(write(site("ProxyPass / http://a:80/", head=nowhere)), EntranceWish())
    assert adapter.copy(adapter.entrances[0]).count("Listen ${PORT}") == 1


def test_two_tiers_of_one_file_still_find_each_other() -> None:
    """The inner one is no entrance, and has an address of this machine at the same port; what cuts there is named."""
    adapter = adapt(FILES / "two-tiers.conf", EntranceWish())
    (entrance,) = adapter.entrances
    copy = lines(adapter.copy(entrance, ("ProxyTimeout 600",)))
    assert "ProxyPass / http://127.0.0.2:${PORT}/ disablereuse=on" in copy
    assert "<VirtualHost 127.0.0.2:${PORT}>" in copy
    # The outer tier's is longer, and stays.
    assert [line for line in copy if line.startswith("ProxyTimeout")] == ["ProxyTimeout 900", "ProxyTimeout 600"]
    assert str(adapter.spot_of(entrance, "ProxyTimeout 600")).endswith("two-tiers.conf:12: ProxyTimeout 3")
    # Whether the inner one redirects depends on a header that nobody can tell.
    assert not [line for line in copy if line.startswith("Rewrite") and "Engine" not in line]
    assert "Listen 127.0.0.2:8080" in PRODUCT.at_home(adapter.copy(entrance), "").replace("${PORT}", "8080")


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ("ProxyPass / http://a:80/", "/v1/chat/completions"),
        ("ProxyPass /llm http://a:80", "/llm/v1/chat/completions"),
        ("ProxyPassMatch ^/gw/(v1/.*)$ http://a:80/$1", "/gw/v1/chat/completions"),
        ("ProxyPass /ask http://a:80/v1/messages", "/ask"),
        ("RewriteEngine on\nRewriteRule ^/api/(.*) http://a:80/api/$1 [P]", "/api/chat"),
        ("<Location /v1/messages>\nProxyPass http://a:80/v1/messages\n</Location>", "/v1/messages"),
        ('<LocationMatch "^/(chat|v1/.*)$">\nSetHandler "proxy:http://a:80"\n</LocationMatch>', "/v1/chat/completions"),
    ],
)
def test_a_rule_is_asked_for_what_its_clients_ask(write: Write, rule: str, path: str) -> None:
    """A path that the rule takes and that arrives as a model's, if there is one."""
    (entrance,) = adapt(write(site(*rule.split("\n"))), EntranceWish()).entrances
    assert entrance.path == path or (path == "/ask" and entrance.path.startswith("/ask"))


def test_the_rule_that_serves_a_path_is_the_one_that_apache_takes(write: Write) -> None:
    """The first that fits, exclusions too; a location before the server, and rewrite rules before both."""
    path = write(
        site(
            "RewriteEngine On",
            "RewriteCond %{HTTP:Upgrade} =websocket",
            "RewriteRule ^ http://socket:80/ [P]",
            "RewriteRule ^/old/(.*) /new/$1",
            "ProxyPass /v1/files !",
            "ProxyPass /v1/messages http://messages:80/v1/messages",
            "ProxyPass /v1 http://v1:80/v1",
            "ProxyPass /new/ http://new:80/",
            "<Location /v1/responses>",
            "    ProxyPass http://responses:80/v1/responses",
            "</Location>",
        )
    )
    for asked, target in {
        "/v1/messages": "messages",
        "/v1/chat/completions": "v1",
        "/v1/responses": "responses",
        "/old/v1/completions": "new",
    }.items():
        (entrance,) = adapt(path, EntranceWish(path=asked)).entrances
        assert f"http://{target}:80/" in entrance.spot.text, asked
    for asked in ("/v1/files", "/v1x", "/other"):
        with pytest.raises(BadInput, match=f"no rule is asked for --path {asked}"):
            adapt(path, EntranceWish(path=asked))


def test_a_redirect_that_cannot_be_told_is_left_out_and_listed(write: Write) -> None:
    """The way that is verified is the one that is named; one that can be told is no entrance."""
    redirect = ["RewriteEngine On", "RewriteCond {0}", "RewriteRule ^ https://%{{HTTP_HOST}}/ [R,L]"]
    rules = [*(each.format("%{HTTP:X-Forwarded-Proto} !https") for each in redirect), "ProxyPass / http://a:80/"]
    adapter = adapt(write(site(*rules)), EntranceWish())
    (entrance,) = adapter.entrances
    assert "RewriteRule" not in adapter.copy(entrance)
    assert "cannot be told" in "".join(map(str, adapter.replacements(entrance)))
    rules[1] = "RewriteCond %{HTTPS} off"
    with pytest.raises(BadInput, match="no rule is asked for what the lab asks"):
        adapt(write(site(*rules)), EntranceWish())


@pytest.mark.parametrize(
    ("conditions", "asked"),
    [
        ("RewriteCond %{REQUEST_FILENAME} !-f", ["RewriteRule ^/(.*)"]),
        ("RewriteCond %{DOCUMENT_ROOT}%{REQUEST_URI} -f", ["ProxyPass /"]),
        ("RewriteCond %{REQUEST_URI} ^/up [OR]\nRewriteCond %{REQUEST_FILENAME} !-d", ["RewriteRule ^/(.*)"]),
        ("RewriteCond %{REQUEST_URI} ^/up [ornext]\nRewriteCond %{HTTPS} =on", ["ProxyPass /"]),
        ("RewriteCond %{HTTP:X-Model} ^gpt", ["RewriteRule ^/(.*)", "ProxyPass /"]),
        ("RewriteCond %{HTTP:X-Model} ^gpt [OR]\nRewriteCond %{HTTPS} =off", ["RewriteRule ^/(.*)"]),
        ("RewriteCond %{HTTP:Upgrade} =websocket [NC]", ["ProxyPass /"]),
    ],
)
def test_a_rewrite_rule_that_passes_on_is_asked_unless_its_conditions_fail(
    write: Write, conditions: str, asked: list[str]
) -> None:
    """No model's endpoint is a file; with `[OR]` one condition is enough; those that cannot be told go."""
    rules = [*conditions.split("\n"), "RewriteRule ^/(.*) http://10.0.0.4:8000/$1 [P]", "ProxyPass / http://10.0.0.5/"]
    adapter = adapt(write(site("RewriteEngine on", *rules)), EntranceWish())
    assert [each.name.partition(" of ")[0] for each in adapter.entrances] == asked
    if "X-Model" in conditions and len(asked) > 1:
        first = adapter.entrances[0]
        assert "RewriteCond" not in adapter.copy(first)
        assert "RewriteRule ^/(.*) http://${MODEL}/$1 [P]" in lines(adapter.copy(first))
        assert "X-Model} ^gpt -> left out (whether it applies" in "".join(map(str, adapter.replacements(first)))
        assert "RewriteCond %{HTTP:X-Model} ^gpt" in lines(adapter.copy(adapter.entrances[1]))


@pytest.mark.parametrize(
    ("rule", "now"),
    [
        ("RewriteRule .* http://127.0.0.1:8181%{REQUEST_URI} [P,QSA]", "http://${MODEL}%{REQUEST_URI} [P,QSA]"),
        ("RewriteRule ^(/.*)$ http://10.0.0.4:8000$1 [P]", "http://${MODEL}$1 [P]"),
        ('ProxyPassMatch "^(/v1/.*)$" "http://10.0.0.4:8000$1" retry=0', "http://${MODEL}$1 retry=0"),
        ("ProxyPassMatch ^(/.*)$ unix:/run/x.sock|http://localhost$1", "http://${MODEL}$1"),
        ("ProxyPass / http://${NO_HOST}:${NO_PORT}/base/", "http://${MODEL}/base/"),
    ],
)
def test_what_stands_behind_the_address_stays(write: Write, rule: str, now: str) -> None:
    """A group, or the whole path, needs no slash before it; the model is asked for what it would be in production."""
    adapter = adapt(write(site("RewriteEngine on", rule)), EntranceWish())
    (entrance,) = adapter.entrances
    assert any(line.endswith(now) for line in lines(adapter.copy(entrance)))


def test_an_include_takes_nothing_that_merely_lies_beside_the_file(tmp_path: Path) -> None:
    """Its folder is found below the main file's, and one that is not there is told."""
    (tmp_path / "other.conf").write_text("Listen 9\nNonsense\n")
    main = tmp_path / "httpd.conf"
    main.write_text(site("ProxyPass / http://10.0.0.4/") + "IncludeOptional /etc/apache2/extra/*.conf\n")
    adapter = adapt(main, EntranceWish())
    assert "Nonsense" not in adapter.copy(adapter.entrances[0])
    assert "extra/*.conf -> left out" in "".join(map(str, adapter.replacements(adapter.entrances[0])))
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra" / "a.conf").write_text("TraceEnable off\n")
    adapter = adapt(main, EntranceWish())
    assert "TraceEnable off" in lines(adapter.copy(adapter.entrances[0]))


MACROS = """\
<Macro Site $name $nameless>
    <VirtualHost *:80>
        ServerName $name.example.com
        ProxyTimeout 3
        Use Passing $nameless
    </VirtualHost>
</Macro>
<macro Passing $port>
    ProxyPass / http://10.0.0.4:$port/
</macro>
Use Site chat 8000
USE site wiki 8001
UndefMacro Site
"""


def test_a_macro_is_what_its_uses_make_of_it(write: Write) -> None:
    """Each use is a site; macros use one another, and a longer parameter is not a shorter one with something behind."""
    path = write(MACROS)
    adapter = adapt(path, EntranceWish())
    assert [each.host for each in adapter.entrances] == ["chat.example.com", "wiki.example.com"]
    copy = adapter.copy(adapter.entrances[1])
    assert "acro" not in copy.replace("macro_module", "").replace("mod_macro", "")
    assert {"ServerName wiki.example.com", "ProxyPass / http://${MODEL}/"} <= set(lines(copy))
    listed = "\n".join(map(str, adapter.replacements(adapter.entrances[0])))
    assert f"{path}:9: ProxyPass / http://10.0.0.4:$port/ -> ProxyPass / http://${{MODEL}}/" in listed
    # The fix is in the macro, so both uses have it.
    longer = {path: MACROS.replace("ProxyTimeout 3", "ProxyTimeout 600")}
    assert adapter.edit(adapter.entrances[0], ("ProxyTimeout 600",)) == longer


def test_a_variable_in_a_header_needs_no_value(write: Write) -> None:
    """Apache takes its name there; where it says whom to ask, or for how long to wait, a value is needed."""
    passing = "ProxyPass / http://10.0.0.4/"
    adapter = adapt(write(site('RequestHeader set X-Key "${NOWHERE_SET}"', passing)), EntranceWish())
    assert 'RequestHeader set X-Key "${NOWHERE_SET}"' in lines(adapter.copy(adapter.entrances[0]))
    with pytest.raises(BadInput, match=r"\$\{NOWHERE_SET\} has no value"):
        adapt(write(site("ProxyTimeout ${NOWHERE_SET}", passing)), EntranceWish())


def test_variables_have_the_values_that_apache_gives_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of `Define`, of the environment and of Debian's `envvars`; one without a value is told with its line."""
    path = tmp_path / "httpd.conf"
    path.write_text(
        site(
            "SetEnv where ${ZONE}",
            "Header set X ${WHO}",
            "ProxyPass ${BASE}/ http://${GPU}/",
            head="Define BASE /llm\n",
        )
    )
    with pytest.raises(BadInput, match=r"httpd.conf:4: \$\{ZONE\} has no value here"):
        adapt(path, EntranceWish())
    (tmp_path / "envvars").write_text("export ZONE=eu$SUFFIX\n")
    monkeypatch.setenv("WHO", "me")
    adapter = adapt(path, EntranceWish())
    (entrance,) = adapter.entrances
    copy = lines(adapter.copy(entrance))
    assert entrance.path == "/llm/v1/chat/completions"
    assert {"SetEnv where eu", "Header set X me", "ProxyPass /llm/ http://${MODEL}/"} <= set(copy)


def test_included_files_are_found_below_the_main_one(tmp_path: Path) -> None:
    """By ever less of their path, in the order of their names, folders whole; one that is not there is listed."""
    (tmp_path / "sites-enabled").mkdir()
    (tmp_path / "sites-enabled" / "b.conf").write_text(
        site("ProxyPass / http://b:80/").replace("a.example", "b.example")
    )
    (tmp_path / "sites-enabled" / "a.conf").write_text(site("Include gone.conf", "ProxyPass / http://a:80/"))
    (tmp_path / "apache2.conf").write_text("IncludeOptional /etc/apache2/sites-enabled\n")
    adapter = adapt(tmp_path, EntranceWish())
    assert [each.spot.file.name for each in adapter.entrances] == ["a.conf", "b.conf"]
    told = "".join(map(str, adapter.replacements(adapter.entrances[0])))
    assert "a.conf:3: Include gone.conf -> left out (no such file is here)" in told
    changed = adapter.edit(adapter.entrances[1], ("ProxyTimeout 600",))
    assert list(changed) == [tmp_path / "sites-enabled" / "b.conf"]


def test_a_fix_changes_the_users_own_lines_and_no_others(write: Write) -> None:
    """In the place of what stands, else before the rule, and outside of a location, where Apache would refuse it."""
    text = site(
        "ProxyErrorOverride On",
        "<Location /v1/>",
        "    ProxyPass http://a:80/v1/ timeout=5 retry=0",
        "    SetEnv force-proxy-request-1.0 1",
        "</Location>",
        "SetOutputFilter clean",
        head="Timeout 30\n",
    )
    path = write(text)
    adapter = adapt(path, EntranceWish())
    (entrance,) = adapter.entrances
    fix = (
        "ProxyTimeout 600",
        "timeout=600",
        "ProxyErrorOverride Off",
        "UnsetEnv force-proxy-request-1.0",
        "# SetOutputFilter",
    )
    changed = (
        text.replace("timeout=5", "timeout=600")
        .replace("Override On", "Override Off")
        .replace("SetEnv force-proxy-request-1.0 1", "UnsetEnv force-proxy-request-1.0")
        .replace("SetOutputFilter", "# SetOutputFilter")
        .replace("    <Location", "    ProxyTimeout 600\n    <Location")
    )
    assert adapter.edit(entrance, fix) == {path: changed}
    assert str(adapter.spot_of(entrance, "ProxyTimeout 600")) == f"{path}:1: Timeout 30"
    path.write_text(changed)
    mended = adapt(path, EntranceWish())
    assert mended.edit(mended.entrances[0], fix) == {}


def test_what_is_long_enough_or_stands_nowhere_is_no_setting_to_try(write: Write) -> None:
    """With such a line no copy of the file is another one."""
    adapter = adapt(write(site("ProxyTimeout 900", "ProxyPass / http://a:80/ timeout=1200")), EntranceWish())
    (entrance,) = adapter.entrances
    for line in PRODUCT.levers:
        assert adapter.edit(entrance, (line,)) == {}, line
    assert adapter.edit(entrance, ("ProxyTimeout 600",)) == {}
    assert adapter.edit(entrance, ("ProxyTimeout 1000",)) != {}


BAD = {
    "in a folder": (
        "<Directory /srv/www>\nRewriteEngine on\nRewriteRule ^(.*)$ http://127.0.0.1:5111/$1 [P,L]\n</Directory>\n",
        "httpd.conf:3: RewriteRule ^(.*)$ http://127.0.0.1:5111/$1 [P,L]: the lab does not ask what stands in <",
    ),
    "nothing": ("", "passes nothing on over HTTP"),
    "another product's": ("events {}\nhttp {}\n", "passes nothing on over HTTP"),
    "no model": (site("ProxyPass / ajp://tomcat:8009/"), "passes nothing on over HTTP"),
    "not closed": ("<VirtualHost *:80>\n", "httpd.conf:1: <VirtualHost *:80>: this section is not closed"),
    "not opened": ("</VirtualHost>\n", "httpd.conf:1: </VirtualHost>: closes no section"),
}


@pytest.mark.parametrize(("text", "words"), BAD.values(), ids=BAD)
def test_what_cannot_be_verified_is_told_in_one_message(write: Write, text: str, words: str) -> None:
    """With file and line, or with what is missing."""
    with pytest.raises(BadInput, match=re.escape(words)) as caught:
        adapt(write(text), EntranceWish())
    assert caught.value.remedy


def test_odd_files_are_one_message(tmp_path: Path) -> None:
    """Binary, too large, not there, a file that includes itself, or a folder without a main file."""
    binary, large, loop = tmp_path / "binary", tmp_path / "large", tmp_path / "loop"
    binary.write_bytes(b"\x7fELF\xff\xfe")
    large.write_bytes(b"# x\n" * 2**20)
    loop.write_text("Include other\n")
    (tmp_path / "other").write_text("Include loop\n")
    for path in (binary, large, loop, tmp_path / "missing", tmp_path):
        with pytest.raises(BadInput, match=path.name):
            adapt(path, EntranceWish())


def test_what_this_apache_does_not_know_is_left_out(write: Write) -> None:
    """A directive or a module that is not here; any other complaint is the user's."""
    head = "LoadModule proxy_module m/mod_proxy.so\nLoadModule brotli_module m/mod_brotli.so\nListen 80\n"
    adapter = adapt(write(site("ShinyEngine on", "ProxyPass / http://a:80/", head=head)), EntranceWish())
    (entrance,) = adapter.entrances
    assert not adapter.leave_out("AH00526: Syntax error on line 8 of /x:\nProxyTimeout must be a number")
    said = "Invalid command 'ShinyEngine', perhaps misspelled or defined by a module not included"
    assert adapter.leave_out(said)
    assert not adapter.leave_out(said)
    assert adapter.leave_out("Cannot load /usr/lib/apache2/modules/mod_brotli.so into server: no such file")
    copy = adapter.copy(entrance)
    assert "Shiny" not in copy
    assert "brotli" not in copy


def test_a_complaint_is_told_of_the_users_own_line(write: Write, tmp_path: Path) -> None:
    """The copy's lines are nobody's."""
    path = write("# a comment\n\n" + site("ProxyPass / http://a:80/", "ProxyTimeout soon"))
    adapter = adapt(path, EntranceWish())
    (entrance,) = adapter.entrances
    copy = adapter.copy(entrance).splitlines()
    line = next(number for number, each in enumerate(copy, 1) if "soon" in each)
    ran = tmp_path / "copy/main.conf"
    said = f"AH00526: Syntax error on line {line} of {ran}:\nProxyTimeout no"
    assert adapter.locate(said, entrance, ran) == f"AH00526: Syntax error at {path}:6:\nProxyTimeout no"


def test_a_template_of_the_labs_is_read_as_well() -> None:
    """With its names in it, as `lab prove` reads the recommended configuration."""
    adapter = adapt(PRODUCT.recommended, EntranceWish())
    (entrance,) = adapter.entrances
    assert "ProxyPass / http://${MODEL}/ ttl=4" in adapter.copy(entrance).splitlines()
    assert {"Timeout 300", "ProxyTimeout 600"} <= {each.text for each in adapter.lines(entrance)}
    spot = next(each for each in adapter.lines(entrance) if each.text == "ProxyTimeout 600")
    assert "ProxyTimeout" not in adapter.copy(entrance, without=[spot])


def test_a_host_or_an_upstream_chooses_the_site(write: Write) -> None:
    """By name, alias or pattern; places of others are passed over."""
    text = site("ServerAlias *.a.example.org", "ProxyPass /metrics http://a:80/metrics", "ProxyPass / http://a:80/")
    other = site("ProxyPass / http://b:8000/").replace("a.example.com", "b.example.com")
    path = write(text + other)
    assert [each.host for each in adapt(path, EntranceWish()).entrances] == ["a.example.com", "b.example.com"]
    assert [each.text for each in adapt(path, EntranceWish()).passed_over] == ["ProxyPass /metrics http://a:80/metrics"]
    (entrance,) = adapt(path, EntranceWish(host="eu.a.example.org")).entrances
    assert (entrance.host, entrance.spot.text) == ("eu.a.example.org", "ProxyPass / http://a:80/")
    (entrance,) = adapt(path, EntranceWish(upstreams=("b",))).entrances
    assert entrance.host == "b.example.com"
    for wish, words in (
        (EntranceWish(host="c.example.com"), "no server of .* has that name"),
        (EntranceWish(upstreams=("c",)), "passes nothing on to that"),
    ):
        with pytest.raises(BadInput, match=words):
            adapt(path, wish)
