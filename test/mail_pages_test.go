package walkthrough_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"html"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "make the screenshots in docs/mail anew")

// The mails as the product's own tests hold them, and where their pictures go.
const (
	mailPages   = "../templates/testdata"
	screenshots = "../docs/mail"
)

// measure is what the browser is asked of every mail: whether it is wider than
// its window, and the worst contrast of a text with what is behind it (WCAG 2).
const measure = `
const light = c => { c /= 255; return c <= .03928 ? c/12.92 : ((c+.055)/1.055)**2.4 };
const luminance = c => { const [r,g,b] = c.match(/[\d.]+/g).map(Number); return .2126*light(r)+.7152*light(g)+.0722*light(b) };
const behind = (e, view) => { for (; e; e = e.parentElement) { const c = view.getComputedStyle(e).backgroundColor; if (!/, 0\)$/.test(c) && c != 'transparent') return c } return 'rgb(255,255,255)' };
window.onload = () => {
  const found = [...document.querySelectorAll('iframe')].map(frame => {
    const view = frame.contentWindow, page = frame.contentDocument, texts = page.createTreeWalker(page.body, 4);
    let worst = 99, at = '';
    while (texts.nextNode()) {
      const e = texts.currentNode.parentElement;
      if (!texts.currentNode.textContent.trim()) continue;
      const a = luminance(view.getComputedStyle(e).color), b = luminance(behind(e, view));
      const contrast = (Math.max(a,b)+.05)/(Math.min(a,b)+.05);
      if (contrast < worst) { worst = contrast; at = texts.currentNode.textContent.trim().slice(0,40) }
    }
    return {Name: frame.name, Width: page.documentElement.scrollWidth, Window: view.innerWidth, Height: Math.ceil(page.body.getBoundingClientRect().height), Contrast: worst, At: at,
      Requests: page.querySelectorAll('img,link,script,iframe,object,[background]').length};
  });
  document.title = 'measured';
  document.getElementById('found').textContent = JSON.stringify(found);
};`

// A measured mail is what the browser found.
type measured struct {
	Name          string
	Width, Window int
	Height        int
	Contrast      float64
	At            string
	Requests      int
}

var styleElement = regexp.MustCompile(`(?s)<style>.*?</style>`)

// TestMailPages looks at every mail in a browser as narrow as a telephone and as
// wide as a web mailer, light and dark, and as readers show it that take its
// style away: nothing may stick out or be hard to read.
func TestMailPages(t *testing.T) {
	t.Parallel()
	chromium := find(t, "chromium", "chromium")
	files, err := filepath.Glob(filepath.Join(mailPages, "*.mail.html.golden"))
	must(t, err)
	if len(files) < 9 {
		t.Fatalf("only %d mails found: %v", len(files), files)
	}
	for _, scheme := range []string{"light", "dark"} {
		var page strings.Builder
		fmt.Fprintf(&page, "<!DOCTYPE html><style>:root { color-scheme: %s }</style><script>%s</script><pre id=found></pre>", scheme, measure)
		for _, file := range files {
			mail := readFile(t, file)
			name := strings.TrimSuffix(filepath.Base(file), ".mail.html.golden")
			for _, width := range []int{360, 800} {
				frame := `<iframe style="border:0;color-scheme:%s" width=%d height=2000 name="%s-%d" srcdoc="%s"></iframe>`
				fmt.Fprintf(&page, frame, scheme, width, name, width, html.EscapeString(string(mail)))
				fmt.Fprintf(&page, frame, scheme, width, name+"-unstyled", width, html.EscapeString(styleElement.ReplaceAllString(string(mail), "")))
			}
		}
		file := filepath.Join(t.TempDir(), scheme+".html")
		must(t, os.WriteFile(file, []byte(page.String()), 0o600))
		for _, m := range look(t, chromium, file, scheme) {
			if m.Width > m.Window || m.Contrast < 4.5 || m.Requests > 0 {
				t.Errorf("%s, %s: %d pixels wide in %d; contrast %.1f at %q; %d parts from elsewhere", m.Name, scheme, m.Width, m.Window, m.Contrast, m.At, m.Requests)
			}
			if *update && !strings.Contains(m.Name, "unstyled") {
				picture(t, chromium, m, scheme)
			}
		}
	}
}

// look lets the browser measure the mails of a page.
func look(t *testing.T, chromium, file, scheme string) []measured {
	t.Helper()
	document := browse(t, chromium, scheme, "--dump-dom", "--virtual-time-budget=5000", "file://"+file)
	found := regexp.MustCompile(`(?s)<pre id="found">(.*?)</pre>`).FindStringSubmatch(document)
	if found == nil || found[1] == "" {
		t.Fatalf("the browser measured nothing:\n%.500s", document)
	}
	var all []measured
	must(t, json.Unmarshal([]byte(html.UnescapeString(found[1])), &all))
	if len(all) < 36 {
		t.Fatalf("%d mails measured", len(all))
	}
	return all
}

// pictures are the mails that the documentation shows: others look the same.
var pictures = map[string]string{
	"one-800-light": "expiring", "one-360-dark": "expiring-narrow-dark", "digest-360-light": "digest-narrow",
	"long-digest-800-light": "digest-25", "renewed-800-dark": "renewed-dark", "failure-800-light": "failure", "test-360-light": "test-narrow",
	"expired-360-light": "expired-narrow",
}

// picture makes the screenshot of a mail, at most a page of it.
func picture(t *testing.T, chromium string, m measured, scheme string) {
	t.Helper()
	name, ok := pictures[m.Name+"-"+scheme]
	if !ok {
		return
	}
	mail, _, _ := strings.Cut(m.Name, fmt.Sprintf("-%d", m.Window))
	file := filepath.Join(t.TempDir(), "mail.html")
	must(t, os.WriteFile(file, readFile(t, filepath.Join(mailPages, mail+".mail.html.golden")), 0o600))
	must(t, os.MkdirAll(screenshots, 0o755))
	shot := filepath.Join(screenshots, name+".png")
	browse(t, chromium, scheme, fmt.Sprintf("--window-size=%d,%d", m.Window, min(m.Height, 1100)), "--screenshot="+shot, "file://"+file)
	shrink(t, shot)
}

// shrink writes a picture anew as small as it gets.
func shrink(t *testing.T, file string) {
	t.Helper()
	in, err := os.Open(file)
	must(t, err)
	defer in.Close()
	picture, err := png.Decode(in)
	must(t, err)
	out, err := os.Create(file + ".new")
	must(t, err)
	must(t, (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(out, picture))
	must(t, out.Close())
	must(t, os.Rename(file+".new", file))
}

// browse runs a browser of its own to its end and returns what it prints.
func browse(t *testing.T, chromium, scheme string, args ...string) string {
	t.Helper()
	const limit = 90 * time.Second // a cold start on a loaded machine
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	preferred := map[string]string{"dark": "0", "light": "1"}[scheme]
	cmd := exec.CommandContext(ctx, chromium, append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-default-browser-check", "--no-proxy-server",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions", "--hide-scrollbars",
		"--host-resolver-rules=MAP * ~NOTFOUND", "--user-data-dir=" + t.TempDir(), "--blink-settings=preferredColorScheme=" + preferred,
	}, args...)...)
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home)
	// Chromium is a family of processes: all of them end with the test.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("chromium: %v\n%s", err, stderr.String())
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it may have left behind
	return string(out)
}
