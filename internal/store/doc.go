// Package store keeps everything Certvigil knows, and holds all of its SQL:
// the inventory, the alerts and the outbox of deliveries, tokens, the audit
// trail and sealed keys. It implements the interfaces that internal/inventory,
// scanner and notifier declare.
//
// A store is one SQLite file in WAL mode, written through one connection and
// read through several. Every write is one immediate transaction that is on
// disk once it returns (synchronous=FULL); other processes may read and write
// the same file at the same time, and at most one daemon does ([Lock]).
//
// SQL is written with ? and with what SQLite and PostgreSQL both understand;
// what only SQLite knows stands in sqlite.go, maintenance.go and the
// migrations. Times are Unix milliseconds in UTC.
package store
