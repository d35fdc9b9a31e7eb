package config

import (
	"bytes"
	"errors"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// decode reads the document into target, a pointer to a struct. It reports
// false when the rest of the checks would make no sense. Unknown keys outside
// the given table are passed over; "" stands for the whole document.
func (c *checker) decode(doc []byte, target any, table string) bool {
	dec := toml.NewDecoder(bytes.NewReader(doc)).DisallowUnknownFields()
	err := dec.Decode(target)
	schema := reflect.TypeOf(target).Elem()
	var unknown *toml.StrictMissingError
	var broken *toml.DecodeError
	switch {
	case errors.As(err, &unknown):
		c.unknownKeys(unknown, schema, table)
	case errors.As(err, &broken):
		c.brokenValue(broken, schema)
		return false
	case err != nil:
		c.fail("document", "see config.example.toml", "%s", strings.TrimPrefix(err.Error(), "toml: "))
		return false
	}
	return c.validateShapes(schema)
}

func (c *checker) unknownKeys(err *toml.StrictMissingError, schema reflect.Type, table string) {
	for _, e := range err.Errors {
		if table != "" && (len(e.Key()) == 0 || e.Key()[0] != table) {
			continue
		}
		path := c.layout.at(e.Position())
		parent, key := split(path)
		c.fail(path, suggest(key, keysUnder(schema, parent)), "unknown key")
	}
}

// brokenValue turns a decoder's error, which speaks of Go types, into one that
// speaks of the file.
func (c *checker) brokenValue(err *toml.DecodeError, schema reflect.Type) {
	line, col := err.Position()
	path := c.layout.at(line, col)
	text := strings.TrimPrefix(err.Error(), "toml: ")
	if text == arrayForTable {
		c.fail(path, "write ["+indexes.ReplaceAllString(path, "")+"], there is only one", "wrong type: this is a list of tables")
		return
	}
	if m := wrongType.FindStringSubmatch(text); m != nil && path != "" {
		c.fail(path, "write "+describe(typeAt(schema, path)), "wrong type: this is %s", article(m[1]))
		return
	}
	c.layout.entries = []entry{{key: "syntax", line: line}}
	c.fail("syntax", "see https://toml.io/en/v1.0.0", "%s", text)
}

// validateShapes refuses what the decoder lets pass: [application] where
// [[application]] is meant, and a number where [Texts] are.
func (c *checker) validateShapes(schema reflect.Type) bool {
	ok := true
	for _, e := range c.layout.entries {
		t := typeAt(schema, e.key)
		switch {
		case e.table && t != nil && t.Kind() == reflect.Slice:
			c.fail(e.key, "write [["+e.key+"]] with two brackets", "wrong type: this is one table")
		case t == reflect.TypeFor[Texts]() && e.kind != unstable.String && e.kind != unstable.Array:
			c.fail(e.key, "write "+describe(t), "wrong type: this is %s", article(nounOf(e.kind)))
		default:
			continue
		}
		ok = false
	}
	return ok
}

const arrayForTable = "cannot store an array table in a struct"

var (
	wrongType = regexp.MustCompile(`^cannot (?:decode TOML|store an?) (\w+(?: \w+)?) in(?:to)? `)
	indexes   = regexp.MustCompile(`\[\d+\]`)
)

// typeAt returns the type that a path stands for, nil for an unknown one.
func typeAt(schema reflect.Type, path string) reflect.Type {
	t := schema
	for _, segment := range strings.Split(path, ".") {
		if t.Kind() == reflect.Slice { // an inline table whose index is not known
			t = t.Elem()
		}
		if t.Kind() == reflect.Map {
			return t.Elem()
		}
		if t.Kind() != reflect.Struct {
			return nil
		}
		name := indexes.ReplaceAllString(segment, "")
		field, ok := fieldOf(t, name)
		if !ok {
			return nil
		}
		t = field.Type
		for range strings.Count(segment, "[") {
			if t.Kind() != reflect.Slice {
				return nil
			}
			t = t.Elem()
		}
	}
	return t
}

func fieldOf(t reflect.Type, key string) (reflect.StructField, bool) {
	for i := range t.NumField() {
		if f := t.Field(i); f.Tag.Get("toml") == key {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

func keysUnder(schema reflect.Type, parent string) []string {
	t := schema
	if parent != "" {
		t = typeAt(schema, parent)
	}
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	var keys []string
	for i := range t.NumField() {
		if tag := t.Field(i).Tag.Get("toml"); tag != "" && tag != "-" {
			keys = append(keys, tag)
		}
	}
	return keys
}

func split(path string) (parent, key string) {
	i := strings.LastIndexByte(path, '.')
	return path[:max(i, 0)], indexes.ReplaceAllString(path[i+1:], "")
}

func describe(t reflect.Type) string {
	switch {
	case t == nil:
		return "what config.example.toml shows"
	case t == reflect.TypeFor[Duration]():
		return `a span of time such as "30d" or "36h"`
	case t == reflect.TypeFor[Texts]():
		return `a string in quotes, or a list such as ["…", "…"]`
	}
	switch t.Kind() {
	case reflect.String:
		return "a string in quotes"
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Struct && t.Elem() != reflect.TypeFor[Duration]() {
			return "a list of tables"
		}
		return `a list such as ["…", "…"]`
	default:
		return "a table"
	}
}

// nounOf names a kind of value as the decoder does.
func nounOf(kind unstable.Kind) string {
	switch kind {
	case unstable.Bool:
		return "boolean"
	case unstable.Integer, unstable.Float:
		return strings.ToLower(kind.String())
	case unstable.LocalDate, unstable.LocalTime, unstable.LocalDateTime, unstable.DateTime:
		return "date or time"
	default:
		return "table"
	}
}

func article(noun string) string {
	if noun != "" && strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}

// suggest names the nearest known key, or all of them when none is near.
func suggest(key string, known []string) string {
	best, distance := "", max(2, len(key)/3)+1
	for _, k := range known {
		if d := editDistance(key, k); d < distance {
			best, distance = k, d
		}
	}
	switch {
	case best != "":
		return "did you mean " + best + "?"
	case len(known) == 0:
		return "remove it"
	}
	slices.Sort(known)
	return "known here: " + strings.Join(known, ", ")
}

// editDistance counts the insertions, deletions and replacements between two
// keys (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = min(diagonal, row[j], row[j+1]) + 1
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
