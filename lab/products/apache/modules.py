"""Apache's modules: which are its own, and which the lab loads for a part of a configuration that loads none."""

from __future__ import annotations

import re

BUILT_IN = frozenset({"core", "so", "http", "log_config", "logio", "unixd", "version", "watchdog"})
"""Those that are there without a line, in Debian's build if not in every one."""

LOADED_APART = ("log_config", "logio", "unixd", "version", "watchdog")
"""Of them those that the official image has as files."""


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FOR_A_PART = _names(
    """
    access_compat actions alias allowmethods auth_basic auth_digest auth_form authn_core authn_file authz_core
    authz_groupfile authz_host authz_user autoindex brotli buffer cache cache_disk charset_lite data deflate dir env
    expires ext_filter filter headers http2 include info lbmethod_bybusyness lbmethod_byrequests lbmethod_bytraffic
    macro mime negotiation proxy proxy_ajp proxy_balancer proxy_connect proxy_fcgi proxy_hcheck proxy_html proxy_http
    proxy_http2 proxy_scgi proxy_uwsgi proxy_wstunnel ratelimit remoteip reqtimeout request rewrite sed session
    session_cookie setenvif slotmem_shm socache_shmcb speling ssl status substitute unique_id usertrack vhost_alias
    xml2enc
    """
)
"""What a site that passes requests on may need. None of them touches a reply until a directive says so."""

_OTHERS = _names(
    """
    asis authn_anon authn_dbd authn_dbm authn_socache authnz_fcgi authnz_ldap authz_dbd authz_dbm authz_owner
    cache_socache cern_meta cgi cgid dav dav_fs dav_lock dbd dialup dumpio file_cache heartbeat heartmonitor ident
    imagemap lbmethod_heartbeat ldap log_debug log_forensic lua mime_magic mpm_event mpm_prefork mpm_worker
    proxy_express proxy_fdpass proxy_ftp reflector session_crypto session_dbd slotmem_plain socache_dbm
    socache_memcache socache_redis suexec userdir
    """
)

ITS_OWN = frozenset({*BUILT_IN, *FOR_A_PART, *_OTHERS})
"""Those that come with Apache httpd 2.4, and that the lab loads where a file does; `md` asks an authority."""

OF_OTHERS = re.compile(
    r"CAS|DOS|Fcgid|GeoIP|Jk|MaxMindDB|MD[A-Z]|Mellon|ModPagespeed|ModSecurity|OIDC|Passenger|Perl|php\d?_|Python|QS_|"
    r"Sec(?!ure)|Shib|WSGI",
    re.IGNORECASE,
)
"""How directives of widespread modules begin that are none of these: one start fewer for each."""


def module_name(text: str) -> str:
    """A module as `LoadModule` or `<IfModule>` names it, by its short name: `ssl` for `ssl_module` and `mod_ssl.c`."""
    if text.endswith(".c"):
        return (
            text[:-2].removeprefix("mod_").removesuffix("_core")
            if text == "http_core.c"
            else text[:-2].removeprefix("mod_")
        )
    return text.removesuffix("_module")
