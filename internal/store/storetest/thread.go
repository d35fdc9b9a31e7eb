package storetest

// threadTests are about where the conversations about items began.
var threadTests = map[string]func(*world){
	"thread: belongs to one item in one conversation of one channel": func(w *world) {
		one, other := w.addClient("one", 20), w.addClient("other", 20)
		w.ok(w.BeginSlackThread(w.ctx(), "ops", "#ops", one.ID, "1700000000.000001"))
		for name, row := range map[string]struct{ channel, conversation, item, want string }{
			"the same":             {"ops", "#ops", one.ID, "1700000000.000001"},
			"another item":         {"ops", "#ops", other.ID, ""},
			"another conversation": {"ops", "#certificates", one.ID, ""},
			"another channel":      {"boss", "#ops", one.ID, ""},
		} {
			got, err := w.SlackThread(w.ctx(), row.channel, row.conversation, row.item)
			w.ok(err)
			if got != row.want {
				w.Errorf("%s: %q, want %q", name, got, row.want)
			}
		}
	},
	"thread: begins anew when the first message is gone": func(w *world) {
		item := w.addClient("one", 20)
		for _, want := range []string{"1700000000.000001", "1700000009.000001"} {
			w.ok(w.BeginSlackThread(w.ctx(), "ops", "#ops", item.ID, want))
			got, err := w.SlackThread(w.ctx(), "ops", "#ops", item.ID)
			w.ok(err)
			if got != want {
				w.Errorf("%q, want %q", got, want)
			}
		}
	},
}
