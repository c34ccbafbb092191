# Where scripts of the old testbeds look for things on a node; to be read by a shell.
BINDIR=/usr/local/etc/emulab
ETCDIR=/etc/emulab
VARDIR=/var/emulab
BOOTDIR=/var/emulab/boot
DBDIR=/var/emulab/db
LOGDIR=/var/emulab/logs
LOCKDIR=/var/emulab/lock
STATICRUNDIR=/usr/local/etc/emulab/run
DYNRUNDIR=/var/run/emulab
PATH=$BINDIR:$PATH
export BINDIR ETCDIR VARDIR BOOTDIR DBDIR LOGDIR LOCKDIR STATICRUNDIR DYNRUNDIR PATH
