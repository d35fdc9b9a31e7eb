package config

import (
	"reflect"
	"regexp"
	"strings"
)

// graceKey is the one span that may be empty: the lists themselves say then.
const graceKey = "enforcer.crl_grace"

var variable = regexp.MustCompile(`\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{`)

// expand replaces ${NAME} in every string below v and then reads the spans of
// time. It works on decoded values, so that what a variable holds is never
// read as TOML.
func (c *checker) expand(v reflect.Value, path string) {
	if d, ok := v.Addr().Interface().(*Duration); ok {
		c.expandDuration(d, path)
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(c.expandString(v.String(), path))
	case reflect.Slice:
		for i := range v.Len() {
			c.expand(v.Index(i), c.layout.element(path, i))
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			value := c.expandString(v.MapIndex(k).String(), join(path, k.String()))
			v.SetMapIndex(k, reflect.ValueOf(value))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if tag := v.Type().Field(i).Tag.Get("toml"); tag != "" && tag != "-" {
				c.expand(v.Field(i), join(path, tag))
			}
		}
	}
}

func (c *checker) expandDuration(d *Duration, path string) {
	if !d.given {
		return
	}
	text := c.expandString(d.text, path)
	if text == "" && path == graceKey {
		*d = Duration{}
		return
	}
	length, err := ParseDuration(text)
	switch {
	case err != nil:
		c.fail(path, `write days, hours, minutes or seconds, such as "30d", "36h" or "1d12h"`, "%s", err)
	case length == 0 && path == graceKey: // zero stands for the default
		c.fail(path, `write "1s" for next to none, or "" for one more validity period of the list`, "it is not above zero")
	}
	*d = span(length)
}

func (c *checker) expandString(s, path string) string {
	return variable.ReplaceAllStringFunc(s, func(m string) string {
		switch m {
		case "$$":
			return "$"
		case "${":
			c.fail(path, "write ${NAME}, or $${ for the two characters themselves", "a reference to the environment is not closed")
			return ""
		}
		name := strings.TrimSuffix(strings.TrimPrefix(m, "${"), "}")
		value, ok := c.getenv(name)
		if !ok {
			c.fail(path, "set it, or write $${ for the two characters themselves", "the environment variable %s is not set", name)
		}
		return value
	})
}
