package config

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// A layout knows where in the document each key stands, under the path that
// messages use: "application[1].policy[0].include[0].ip".
type layout struct {
	starts  []int          // the offset of each line
	entries []entry        // in document order
	arrays  map[string]int // how many elements each array of tables has so far
}

type entry struct {
	key       string
	line, col int           // from 1
	table     bool          // stands in a [table] header
	kind      unstable.Kind // of the value behind a key, else Invalid
}

// locate reads the layout of a document, as far as its syntax is sound.
func locate(doc []byte) *layout {
	l := &layout{starts: []int{0}, arrays: map[string]int{}}
	for i, b := range doc {
		if b == '\n' {
			l.starts = append(l.starts, i+1)
		}
	}
	var p unstable.Parser
	p.Reset(doc)
	prefix := ""
	for p.NextExpression() {
		node := p.Expression()
		switch node.Kind {
		case unstable.KeyValue:
			l.keyValue(prefix, node)
		case unstable.Table:
			keys, offset := keysOf(node)
			prefix = l.resolve(keys)
			l.add(prefix, offset, true)
		case unstable.ArrayTable:
			keys, offset := keysOf(node)
			last := len(keys) - 1
			path := join(l.resolve(keys[:last]), keys[last])
			prefix = fmt.Sprintf("%s[%d]", path, l.arrays[path])
			l.arrays[path]++
			l.add(prefix, offset, false)
		}
	}
	return l
}

// resolve returns the path of a table header: a name that is an array of
// tables means its latest element.
func (l *layout) resolve(keys []string) string {
	path := ""
	for _, k := range keys {
		path = join(path, k)
		if n := l.arrays[path]; n > 0 {
			path = fmt.Sprintf("%s[%d]", path, n-1)
		}
	}
	return path
}

func (l *layout) keyValue(prefix string, node *unstable.Node) {
	keys, offset := keysOf(node)
	path := join(prefix, strings.Join(keys, "."))
	l.add(path, offset, false)
	l.entries[len(l.entries)-1].kind = node.Value().Kind
	l.value(path, node.Value())
}

func (l *layout) value(path string, node *unstable.Node) {
	i := 0
	for it := node.Children(); it.Next(); i++ {
		child := it.Node()
		if node.Kind == unstable.InlineTable {
			l.keyValue(path, child)
			continue
		}
		element := fmt.Sprintf("%s[%d]", path, i)
		if child.Raw.Length > 0 {
			l.add(element, int(child.Raw.Offset), false)
		}
		l.value(element, child)
	}
}

func (l *layout) add(key string, offset int, table bool) {
	line := sort.SearchInts(l.starts, offset+1) // the lines that start at or before it
	l.entries = append(l.entries, entry{key: key, line: line, col: offset - l.starts[line-1] + 1, table: table})
}

// at returns the key that stands at a position, or last before it.
func (l *layout) at(line, col int) string {
	key := ""
	for _, e := range l.entries {
		if e.line > line || e.line == line && e.col > col {
			break
		}
		key = e.key
	}
	return key
}

// element names an element of a list, or the key itself where one string
// stands for a list of one.
func (l *layout) element(key string, i int) string {
	if slices.ContainsFunc(l.entries, func(e entry) bool { return e.key == key && e.kind == unstable.String }) {
		return key
	}
	return fmt.Sprintf("%s[%d]", key, i)
}

// line returns where a key stands, else the nearest table or list around it,
// else 0.
func (l *layout) line(key string) int {
	for key != "" {
		i := slices.IndexFunc(l.entries, func(e entry) bool { return e.key == key })
		if i >= 0 {
			return l.entries[i].line
		}
		key = key[:max(strings.LastIndexAny(key, ".["), 0)]
	}
	return 0
}

func keysOf(node *unstable.Node) (keys []string, offset int) {
	for it := node.Key(); it.Next(); {
		if keys == nil {
			offset = int(it.Node().Raw.Offset)
		}
		keys = append(keys, string(it.Node().Data))
	}
	return keys, offset
}

func join(prefix, key string) string {
	if prefix == "" {
		return key
	}
	return prefix + "." + key
}
