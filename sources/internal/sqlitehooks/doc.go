// Package sqlitehooks records what connections to SQLite write, from SQLite's
// own pre-update, commit and rollback hooks. They tell the values of each row
// before and after, whatever changed it: any statement, a trigger, a foreign key
// that cascades, a row displaced by REPLACE.
//
// It works with any driver that offers the hooks as modernc.org/sqlite does, and
// finds their methods by reflection, so that importing it links no driver.
package sqlitehooks
