#!/usr/bin/env bash
# Installs the Debian packages that tests and benchmarks use. Without root it only says which are missing.
set -euo pipefail
declare -A provides=(
    [curl]=curl [wrk]=wrk [nginx]=nginx-light [apache2]=apache2-bin [chromium]=chromium
    [gcc]=gcc [valgrind]=valgrind [node]=nodejs [npm]=npm
    # Servers that drivers are tested with, and what finds the libraries that drivers are compiled against.
    [mariadbd]=mariadb-server-core [my_print_defaults]=mariadb-client-core [memcached]=memcached
    [redis-server]=redis-server [slapd]=slapd [nats-server]=nats-server [rabbitmq-server]=rabbitmq-server
    [pkg-config]=pkg-config
)
# Of what is compiled here: the WebSocket load generator, bjoern, mysqlclient and mariadb, python-ldap. And a driver.
declare -A headers=(
    [zlib.h]=zlib1g-dev [ev.h]=libev-dev [mariadb/mysql.h]=libmariadb-dev
    [lber.h]=libldap-dev [sasl/sasl.h]=libsasl2-dev
    [../lib/"$(uname -m)"-linux-gnu/odbc/libmaodbc.so]=odbc-mariadb
)
# To download psycopg2's source distribution, whose test-suite is run.
provides[pg_config]=libpq-dev
missing=()
for command in "${!provides[@]}"; do
    PATH="$PATH:/usr/sbin" command -v "$command" >/dev/null || missing+=("${provides[$command]}")
done
for header in "${!headers[@]}"; do
    [ -e "/usr/include/$header" ] || missing+=("${headers[$header]}")
done
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql) # off PATH, and so are its programs
python3 -c 'import test.support' 2>/dev/null || missing+=(libpython3-testsuite) # CPython's own tests of sqlite3
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "these programs are needed and missing; install the packages: ${missing[*]}" >&2
    exit 1
fi
# The tests start servers of their own: those that Debian would start as services are not needed.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
