package store

import "strings"

// conditions are the parts of a WHERE clause that a caller's filter asks for.
type conditions struct {
	parts []string
	args  []any
}

// and adds a condition on a value; an empty text asks for nothing.
func (c conditions) and(condition string, value any) conditions {
	if value == "" {
		return c
	}
	return conditions{append(c.parts, condition), append(c.args, value)}
}

// clause returns the WHERE clause with its arguments, "" when there is none.
func (c conditions) clause() (string, []any) {
	if len(c.parts) == 0 {
		return "", nil
	}
	return "WHERE " + strings.Join(c.parts, " AND "), c.args
}

// rowLimit turns "no limit" into a number that every database takes.
func rowLimit(limit int) int64 {
	if limit <= 0 {
		return 1 << 62
	}
	return int64(limit)
}
