package templates

import (
	"errors"
	"text/template"
	"text/template/parse"
)

// maxSteps is how many turns of loops and calls of templates one message may
// take: ten loops over the names of twenty certificates with a thousand each, below a second.
const maxSteps = 200_000

var errEndless = errors.New("it does not come to an end: more than 200,000 turns")

// stepFunc counts a step. It is called where [countSteps] put it, and is no name
// that a template could use: only the parse tree can say it.
const stepFunc = "step"

// countSteps has each turn of a loop and each call of a template count. A loop
// that writes nothing, such as {{range 1000000000000}}{{end}}, would else hold
// up whoever loads the configuration, and text/template cannot be stopped from
// outside.
func countSteps(t *template.Template) {
	for _, one := range t.Templates() {
		if one.Tree != nil && one.Root != nil {
			countIn(one.Tree, one.Root)
			countFirst(one.Tree, one.Root)
		}
	}
}

// countIn puts a step at the beginning of each loop's body below a list.
func countIn(t *parse.Tree, list *parse.ListNode) {
	if list == nil {
		return
	}
	for _, n := range list.Nodes {
		var branch *parse.BranchNode
		switch n := n.(type) {
		case *parse.IfNode:
			branch = &n.BranchNode
		case *parse.WithNode:
			branch = &n.BranchNode
		case *parse.RangeNode:
			branch = &n.BranchNode
		default:
			continue
		}
		countIn(t, branch.List)
		countIn(t, branch.ElseList)
		if branch.NodeType == parse.NodeRange {
			countFirst(t, branch.List)
		}
	}
}

// countFirst puts the action {{step}}, which writes nothing, before a list.
func countFirst(t *parse.Tree, list *parse.ListNode) {
	at := list.Pos
	call := &parse.CommandNode{NodeType: parse.NodeCommand, Pos: at, Args: []parse.Node{parse.NewIdentifier(stepFunc).SetTree(t).SetPos(at)}}
	step := &parse.ActionNode{NodeType: parse.NodeAction, Pos: at, Pipe: &parse.PipeNode{NodeType: parse.NodePipe, Pos: at, Cmds: []*parse.CommandNode{call}}}
	list.Nodes = append([]parse.Node{step}, list.Nodes...)
}

// stepper returns the function that counts the steps of one execution.
func stepper() template.FuncMap {
	left := maxSteps
	return template.FuncMap{stepFunc: func() (string, error) {
		if left--; left < 0 {
			return "", errEndless
		}
		return "", nil
	}}
}
