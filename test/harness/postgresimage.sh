# What the official image of PostgreSQL promises of its entrypoint, as far as the chart asks for it: on an empty PGDATA a cluster
# with this user, this password and this database; then the server, with passwords asked of everybody who comes by network.
# (docker-library/docs, postgres: "How to extend this image", "Environment Variables".)
set -eu
export PATH=/usr/local/pgsql/bin
if ! [ -s "$PGDATA/PG_VERSION" ]; then
  initdb --pgdata="$PGDATA" --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" \
    --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --locale=C
  printf 'CREATE DATABASE "%s";\n' "$POSTGRES_DB" | postgres --single -D "$PGDATA" postgres
  printf '\nhost all all all scram-sha-256\n' >> "$PGDATA/pg_hba.conf"
fi
exec postgres -D "$PGDATA" -c "listen_addresses=$LISTEN" -c port=5432
