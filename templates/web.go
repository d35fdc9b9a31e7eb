package templates

import (
	"embed"
	"encoding/json"
	"html/template"
	"io"
	"net/http"
)

//go:embed web/*.html
var webFiles embed.FS

var webError = template.Must(template.ParseFS(webFiles, "web/error.html"))

// A WebError is an answer of the listener's own to a client. It says what
// happened and what the reader can do, never why: that stands in the log under
// the request id.
type WebError struct {
	Status    int    // of the HTTP answer
	RequestID string // by which the log knows the request
	Message   string // the application's own words, in plain text; may be empty
}

// webErrors are the words for each status.
var webErrors = map[int]struct{ title, advice string }{
	http.StatusOK: {
		"You are logged out",
		"The session's cookie is gone. A certificate admits by itself: as long as this browser presents it, the application stays open to it.",
	},
	http.StatusBadRequest: {
		"The request cannot be understood",
		"Its host name or path can be read in more than one way, or not at all. Check the address.",
	},
	http.StatusForbidden: {
		"Access is denied",
		"This application is open to clients with an accepted certificate only. Choose or install yours, or ask the administrator with the request ID below.",
	},
	http.StatusNotFound: {
		"There is no such page",
		"This part of the site belongs to the gateway in front of the application. Check the address.",
	},
	http.StatusMisdirectedRequest: {
		"Wrong connection for this host",
		"This connection was made for another host name. Open the address again on a new connection.",
	},
	http.StatusBadGateway: {
		"The application does not answer",
		"You were let in, but the application behind this gateway could not be reached. Try again in a moment.",
	},
	http.StatusServiceUnavailable: {
		"The gateway is restarting",
		"Try again in a moment.",
	},
	http.StatusGatewayTimeout: {
		"The application takes too long",
		"You were let in, but the application behind this gateway did not answer in time. Try again in a moment.",
	},
}

// Title returns what happened, in a few words.
func (e WebError) Title() string {
	if words, ok := webErrors[e.Status]; ok {
		return words.title
	}
	return http.StatusText(e.Status)
}

// Advice returns what the reader can do about it, in a sentence or two.
func (e WebError) Advice() string {
	if words, ok := webErrors[e.Status]; ok {
		return words.advice
	}
	return "Try again later, or ask the administrator with the request ID below."
}

// RenderWebError writes the page for people.
func RenderWebError(w io.Writer, e WebError) error { return webError.Execute(w, e) }

// RenderWebErrorJSON writes the same for programs: an object with status,
// error, advice, request_id and, where there is one, the application's message.
func RenderWebErrorJSON(w io.Writer, e WebError) error {
	return json.NewEncoder(w).Encode(struct {
		Status    int    `json:"status"`
		Error     string `json:"error"`
		Advice    string `json:"advice"`
		RequestID string `json:"request_id"`
		Message   string `json:"message,omitempty"`
	}{e.Status, e.Title(), e.Advice(), e.RequestID, e.Message})
}
