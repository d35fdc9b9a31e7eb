package templates_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/certvigil/certvigil/templates"
)

func TestRenderWebError(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 403, 421, 500, 502, 503, 504} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			e := templates.WebError{Status: status, RequestID: "0123<script>"}
			var page, object bytes.Buffer
			if err := templates.RenderWebError(&page, e); err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{e.Title(), e.Advice(), "0123&lt;script&gt;"} {
				if want == "" || !strings.Contains(page.String(), want) {
					t.Errorf("the page lacks %q", want)
				}
			}
			if err := templates.RenderWebErrorJSON(&object, e); err != nil {
				t.Fatal(err)
			}
			var got struct {
				Status        int
				Error, Advice string
				RequestID     string `json:"request_id"`
			}
			if err := json.Unmarshal(object.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if got.Status != status || got.Error != e.Title() || got.Advice != e.Advice() || got.RequestID != e.RequestID {
				t.Errorf("object %s", object.String())
			}
		})
	}
}
