#!/usr/bin/env bash
# Restores one backup of a vault with age, zstd, jq and the programs of Postgres. It needs nothing of Courtkeeper.
#
#     restore_by_hand.sh check    IDENTITY BACKUP               compare every part with the manifest, open it
#     restore_by_hand.sh database IDENTITY BACKUP NAME TARGET   restore the database NAME into a new one, TARGET
#     restore_by_hand.sh roles    IDENTITY BACKUP               make roles and tablespaces (what is there stays)
#     restore_by_hand.sh files    IDENTITY BACKUP DIRECTORY     unpack the files below a new DIRECTORY
#     restore_by_hand.sh redis    IDENTITY BACKUP FILE          write the RDB to a new FILE
#
# IDENTITY is the file with the private key, BACKUP the directory with manifest.json (from S3: copy it first).
# How Postgres is reached stands in PGHOST, PGPORT, PGUSER and PGPASSWORD, as for psql.
set -euo pipefail

fail() { printf 'restore_by_hand: %s\n' "$1" >&2; exit 1; }
usage() { sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2; }

[ $# -ge 3 ] || usage
what=$1 identity=$2 backup=$3
manifest=$backup/manifest.json
for program in age zstd jq sha256sum; do
  command -v "$program" >/dev/null || fail "$program is missing: install it"
done
[ -f "$identity" ] || fail "there is no file $identity with the private key"
[ -f "$manifest" ] || fail "$backup has no manifest.json: it is no backup"

# What was digested stands between the first key and the seal, byte for byte.
content=$(cat "$manifest")
content=${content#'{"manifest":'}
content=${content%,\"seal\":\{*}
digest=$(printf '%s' "$content" | sha256sum | cut -d' ' -f1)
sealed_digest=$(jq -er .seal.sha256 "$manifest")

part() { jq -er --arg key "$1" --arg kind "$2" --arg database "${3:-}" \
  '[.manifest.parts[] | select(.kind == $kind and ($database == "" or .database == $database))][0][$key]' "$manifest"; }
opened() { age -d -i "$identity" "$backup/$1" | zstd -dcq; }

# Compares one part, sealed and plain, with the manifest.
compare() {
  local name=$1 sealed plain
  sealed=$(sha256sum <"$backup/$name" | cut -d' ' -f1)
  [ "$sealed" = "$(jq -er --arg name "$name" '.manifest.parts[] | select(.name == $name) | .sealed_sha256' "$manifest")" ] ||
    fail "$name is damaged: its SHA-256 is not the manifest's"
  plain=$(opened "$name" | sha256sum | cut -d' ' -f1) || fail "$name cannot be opened: is it another key?"
  [ "$plain" = "$(jq -er --arg name "$name" '.manifest.parts[] | select(.name == $name) | .plain_sha256' "$manifest")" ] ||
    fail "what is in $name is not what the manifest says"
  printf 'good: %s\n' "$name"
}

case $what in
  check)
    [ $# -eq 3 ] || usage
    [ "$digest" = "$sealed_digest" ] || fail "manifest.json was changed after it was written: do not trust it"
    jq -r '.manifest | "\(.vault)/\(.source) of \(.taken_at), \(.parts | length) parts"' "$manifest"
    jq -r '.manifest.parts[].name' "$manifest" | while IFS= read -r name; do compare "$name"; done
    ;;
  database)
    [ $# -eq 5 ] || usage
    name=$(part name pg_dump "$4") || fail "the backup has no database $4"
    compare "$name"
    createdb --template=template0 --encoding="$(jq -r --arg key "database.$4.encoding" \
      '.manifest.recovery_settings[$key] // "UTF8"' "$manifest")" -- "$5"
    opened "$name" | pg_restore --exit-on-error --no-password --dbname="$5"
    # Rows of each table, as the manifest has them.
    jq -r --arg database "$4" '.manifest.parts[] | select(.database == $database) | .tables[] |
      select(.rows != null) | [.schema, .name, .rows] | @tsv' "$manifest" |
      while IFS=$'\t' read -r schema table rows; do
        found=$(psql -XAtq -d "$5" -v ON_ERROR_STOP=1 -v schema="$schema" -v table="$table" \
          <<<'SELECT count(*) FROM ONLY :"schema".:"table"')
        [ "$found" = "$rows" ] || fail "$schema.$table has $found rows instead of $rows"
      done
    printf 'restored %s as %s, with the rows of the manifest\n' "$4" "$5"
    ;;
  roles)
    [ $# -eq 3 ] || usage
    name=$(part name pg_globals) || fail "the backup has no roles"
    compare "$name"
    # Roles that are there already are refused, and nothing else of that matters.
    opened "$name" | psql -XAtq -d postgres 2>&1 >/dev/null | grep -v 'already exists' >&2 || true
    ;;
  files)
    [ $# -eq 4 ] || usage
    name=$(part name tar) || fail "the backup has no files"
    compare "$name"
    mkdir -- "$4" || fail "$4 is to be a new directory"
    opened "$name" | tar -x --directory="$4" --numeric-owner
    ;;
  redis)
    [ $# -eq 4 ] || usage
    name=$(part name redis_rdb) || fail "the backup has no RDB"
    compare "$name"
    [ ! -e "$4" ] || fail "$4 is there already"
    (umask 077; opened "$name" >"$4")
    ;;
  *) usage ;;
esac
