package walkthrough_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A tab is one page of a browser that the test works with by the DevTools
// protocol, over the pipe that Chromium has for it.
type tab struct {
	to      io.Writer
	answers chan devtoolsMessage
	session string
	last    int
	shots   string
}

type devtoolsMessage struct {
	ID     int             `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// openTab starts a browser that knows one name for the machine itself, and
// ends it with the test.
func openTab(t *testing.T, hostname string) *tab {
	t.Helper()
	const limit = 3 * time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	theirIn, ourOut, err := os.Pipe()
	must(t, err)
	ourIn, theirOut, err := os.Pipe()
	must(t, err)
	home := t.TempDir()
	cmd := exec.CommandContext(ctx, find(t, "chromium", "chromium"),
		"--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--no-default-browser-check", "--no-proxy-server", "--disable-background-networking", "--disable-component-update",
		"--disable-sync", "--disable-extensions", "--hide-scrollbars", "--user-data-dir="+filepath.Join(home, "profile"),
		"--host-resolver-rules=MAP "+hostname+" 127.0.0.1, MAP * ~NOTFOUND", "about:blank")
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	must(t, cmd.Start())
	_, _ = theirIn.Close(), theirOut.Close()
	b := &tab{to: ourOut, answers: make(chan devtoolsMessage, 1), shots: os.Getenv("CERTVIGIL_SCREENSHOTS")}
	if b.shots == "" {
		b.shots = t.TempDir()
	}
	go b.listen(ourIn)
	t.Cleanup(func() {
		cancel()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it may have ended
		_ = cmd.Wait()
		_, _ = ourOut.Close(), ourIn.Close()
	})
	var target struct{ TargetID string }
	b.call(t, "Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call(t, "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	return b
}

// listen hands answers on, and drops what the browser tells unasked.
func (b *tab) listen(from io.Reader) {
	defer close(b.answers)
	in := bufio.NewReader(from)
	for {
		line, err := in.ReadBytes(0)
		if err != nil {
			return
		}
		var m devtoolsMessage
		if json.Unmarshal(line[:len(line)-1], &m) == nil && m.ID != 0 {
			b.answers <- m
		}
	}
}

// call has the browser do something; out may be nil.
func (b *tab) call(t *testing.T, method string, params any, out any) {
	t.Helper()
	b.last++
	request := map[string]any{"id": b.last, "method": method, "params": params}
	if b.session != "" {
		request["sessionId"] = b.session
	}
	data, err := json.Marshal(request)
	must(t, err)
	if _, err := b.to.Write(append(data, 0)); err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	select {
	case m, alive := <-b.answers:
		if !alive || m.ID != b.last || m.Error != nil {
			t.Fatalf("%s: %+v", method, m)
		}
		if out != nil {
			must(t, json.Unmarshal(m.Result, out))
		}
	case <-time.After(time.Minute):
		t.Fatalf("%s: no answer", method)
	}
}

// visit opens an address and waits for the page to be complete.
func (b *tab) visit(t *testing.T, address string) {
	t.Helper()
	b.call(t, "Page.navigate", map[string]any{"url": address}, nil)
	b.until(t, `location.href === `+quoted(address)+` && document.readyState === "complete"`)
}

// eval returns the text that an expression of the page's own gives.
func (b *tab) eval(t *testing.T, expression string) string {
	t.Helper()
	var out struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
		ExceptionDetails json.RawMessage `json:"exceptionDetails"`
	}
	b.call(t, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &out)
	if out.ExceptionDetails != nil {
		t.Fatalf("%s: %s", expression, out.ExceptionDetails)
	}
	var text string
	if json.Unmarshal(out.Result.Value, &text) == nil {
		return text
	}
	return string(out.Result.Value)
}

// until waits for an expression to become true.
func (b *tab) until(t *testing.T, expression string) {
	t.Helper()
	eventually(t, 20*time.Second, expression, func() error {
		if got := b.eval(t, expression); got != "true" {
			return fmt.Errorf("%s; the page says: %s", got, b.eval(t, `document.body ? document.body.innerText : ""`))
		}
		return nil
	})
}

// says waits for words on the page.
func (b *tab) says(t *testing.T, words string) {
	t.Helper()
	b.until(t, `document.body.innerText.includes(`+quoted(words)+`)`)
}

// paste puts text where the keyboard's focus is.
func (b *tab) paste(t *testing.T, text string) {
	t.Helper()
	b.call(t, "Input.insertText", map[string]any{"text": text}, nil)
}

// press presses a key, as the only way to go about: there is no mouse.
func (b *tab) press(t *testing.T, key string) {
	t.Helper()
	code, text := map[string]int{"Tab": 9, "Enter": 13}[key], map[string]string{"Enter": "\r"}[key]
	for _, kind := range []string{"keyDown", "keyUp"} {
		params := map[string]any{"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code}
		if kind == "keyDown" && text != "" {
			params["text"] = text
		}
		b.call(t, "Input.dispatchKeyEvent", params, nil)
	}
}

// tabTo presses Tab until the focus is on what a selector names.
func (b *tab) tabTo(t *testing.T, selector string) {
	t.Helper()
	for range 30 {
		b.press(t, "Tab")
		if b.eval(t, `document.activeElement.matches(`+quoted(selector)+`)`) == "true" {
			return
		}
	}
	t.Fatalf("the keyboard does not reach %s", selector)
}

// looks holds the page to its width, and makes its picture, in each width and scheme.
func (b *tab) looks(t *testing.T, name string) {
	t.Helper()
	for _, width := range []int{360, 1000} {
		for _, scheme := range []string{"light", "dark"} {
			b.call(t, "Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false}, nil)
			b.call(t, "Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
			if got := b.eval(t, `document.documentElement.scrollWidth`); got != fmt.Sprint(width) {
				t.Errorf("%s: %s pixels wide in %d", name, got, width)
			}
			var shot struct{ Data string }
			b.call(t, "Page.captureScreenshot", map[string]any{"captureBeyondViewport": true, "clip": map[string]any{
				"x": 0, "y": 0, "width": width, "height": json.RawMessage(b.eval(t, `document.documentElement.scrollHeight`)), "scale": 1,
			}}, &shot)
			picture, err := base64.StdEncoding.DecodeString(shot.Data)
			must(t, err)
			must(t, os.WriteFile(filepath.Join(b.shots, fmt.Sprintf("%s-%d-%s.png", name, width, scheme)), picture, 0o600))
		}
	}
}

// quoted is a text as JavaScript has it.
func quoted(text string) string {
	data, _ := json.Marshal(text) //nolint:errchkjson // a string
	return string(data)
}
