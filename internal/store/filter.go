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

// also adds a condition without a value.
func (c conditions) also(condition string) conditions {
	return conditions{append(c.parts, condition), c.args}
}

// matching adds a condition with its own arguments, which may be a choice.
func (c conditions) matching(condition string, args []any) conditions {
	return conditions{append(c.parts, "("+condition+")"), append(c.args, args...)}
}

// clause returns the WHERE clause with its arguments, "" when there is none.
func (c conditions) clause() (string, []any) {
	if len(c.parts) == 0 {
		return "", nil
	}
	return "WHERE " + strings.Join(c.parts, " AND "), c.args
}

// shortestPrefix is how many digits of an id or a fingerprint name a thing.
const shortestPrefix = 6

// digitsOf writes a reference as ids and fingerprints are stored: colons and
// case do not matter.
func digitsOf(ref string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimSpace(ref), ":", ""))
}

// prefixRange returns the range of ids and fingerprints, which are lower-case
// hex with dashes, that begin with the digits of ref.
func prefixRange(ref string) (from, to string, ok bool) {
	if len(ref) < shortestPrefix || strings.Trim(ref, "0123456789abcdef-") != "" {
		return "", "", false
	}
	return ref, ref + "g", true // 'g' follows every digit and the dash
}

// rowLimit turns "no limit" into a number that every database takes.
func rowLimit(limit int) int64 {
	if limit <= 0 {
		return 1 << 62
	}
	return int64(limit)
}
