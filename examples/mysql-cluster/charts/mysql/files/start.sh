#!/bin/sh
# start.sh         runs the server of this pod: of the first pod the primary, of the others one that follows it
# start.sh check   says whether it serves, and follows
set -eu
umask 077
primary=mysql-0.mysql
volume=/var/lib/mysql
data=$volume/data
secret=/etc/mysql/secret
init=/run/mysqld/init.sql # statements that the server begins with
ordinal=${POD_NAME##*-}

quoted() { sed "s/[\\\\']/\\\\&/g" "$secret/$1"; } # for SQL

as_replication() { # PROGRAM ARGUMENT...
  program=$1
  shift
  "$program" --defaults-extra-file=$secret/replication.cnf "$@"
}

check() {
  if [ "$ordinal" = 0 ]; then
    as_replication mariadb -e 'SELECT 1' > /dev/null
  else
    [ "$(as_replication mariadb -e 'SHOW SLAVE STATUS\G' | grep -cE 'Slave_(IO|SQL)_Running: Yes')" = 2 ]
  fi
}

empty() { # DIRECTORY: system tables and nothing else
  rm -rf "$1"
  mariadb-install-db --datadir="$1" --skip-test-db --skip-name-resolve --auth-root-authentication-method=normal --skip-log-bin > /dev/null
}

# A copy of the primary: into a directory of its own, which becomes the data when all of it is there.
copy_primary() {
  until as_replication mariadb-dump --host=$primary --all-databases --single-transaction --routines --events --flush-privileges \
    --master-data=1 --gtid > $volume/dump.sql; do
    sleep 2
  done
  empty $volume/new
  mariadbd --datadir=$volume/new --skip-networking --skip-log-bin --skip-slave-start --socket=$volume/new.sock &
  server=$!
  until mariadb-admin --no-defaults --socket=$volume/new.sock --user=root --silent ping; do
    kill -0 $server
    sleep 1
  done
  mariadb --no-defaults --socket=$volume/new.sock --user=root < $volume/dump.sql
  kill $server
  wait $server
  mv $volume/new $data
  rm $volume/dump.sql
}

accounts() {
  user=$(quoted user) password=$(quoted password)
  cat << SQL
DELETE FROM mysql.global_priv WHERE User = 'root' AND Host NOT IN ('localhost', '%');
FLUSH PRIVILEGES;
CREATE USER IF NOT EXISTS '$user'@'%';
ALTER USER '$user'@'%' IDENTIFIED BY '$password';
GRANT ALL ON *.* TO '$user'@'%' WITH GRANT OPTION;
ALTER USER 'root'@'localhost' IDENTIFIED BY '$password';
CREATE USER IF NOT EXISTS 'replication'@'%';
ALTER USER 'replication'@'%' IDENTIFIED BY '$(quoted replication)';
GRANT SELECT, RELOAD, PROCESS, LOCK TABLES, SHOW VIEW, TRIGGER, EVENT, BINLOG MONITOR, REPLICATION SLAVE, SLAVE MONITOR ON *.* TO 'replication'@'%';
SQL
}

follow() {
  cat << SQL
STOP SLAVE;
CHANGE MASTER TO MASTER_HOST='$primary', MASTER_USER='replication', MASTER_PASSWORD='$(quoted replication)', MASTER_CONNECT_RETRY=2, MASTER_USE_GTID=slave_pos;
START SLAVE;
SQL
}

if [ "${1:-}" = check ]; then
  check
  exit
fi
if [ "$ordinal" = 0 ]; then
  [ -d $data ] || { empty $volume/new && mv $volume/new $data; }
  accounts > $init
  exec mariadbd --server-id=1 --init-file=$init
fi
[ -d $data ] || copy_primary
follow > $init
exec mariadbd --server-id=$((ordinal + 1)) --read-only --init-file=$init
