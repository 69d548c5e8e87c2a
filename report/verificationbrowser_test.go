package report_test

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/report"
)

// browsed is a page open in Chromium, with all that it asked for and complained of.
type browsed struct {
	ctx      context.Context
	mu       sync.Mutex
	requests []string
	errors   []string
}

// browse opens the page of the demo.
func browse(t *testing.T) *browsed {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser takes seconds")
	}
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed (Debian: apt-get install chromium): the page was not opened in a browser")
	}
	html, err := report.VerificationHTML(demo(t))
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "report.html")
	require.NoError(t, os.WriteFile(file, html, 0o600))
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.WindowSize(1280, 1000))
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(allocator)
	t.Cleanup(end)
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	t.Cleanup(cancel)
	b := &browsed{ctx: ctx}
	require.NoError(t, chromedp.Listen(ctx, b.listen))
	_, err = chromedp.Call(ctx, network.Enable, network.EnableParams{})
	require.NoError(t, err)
	for _, enable := range []cdp.Command[cdp.Empty, cdp.Empty]{cdplog.Enable, runtime.Enable} {
		_, err = chromedp.Call(ctx, enable, cdp.Empty{})
		require.NoError(t, err)
	}
	b.run(t, chromedp.Navigate((&url.URL{Scheme: "file", Path: file}).String()))
	return b
}

func (b *browsed) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *cdplog.EventEntryAdded:
		b.errors = append(b.errors, e.Entry.Text)
	case *runtime.EventExceptionThrown:
		b.errors = append(b.errors, e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		b.errors = append(b.errors, string(e.Type))
	}
}

func (b *browsed) run(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	require.NoError(t, chromedp.Do(b.ctx, actions...))
}

// value is what an expression of the page comes to.
func value[T any](t *testing.T, b *browsed, expression string) T {
	t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	require.NoError(t, err)
	return v
}

const shownPorts = `Array.from(document.querySelectorAll('details.port')).filter(e => e.checkVisibility()).map(e => e.querySelector('.name').textContent)`

// Features: C2, D8.
func TestThePageWorksInABrowser(t *testing.T) {
	b := browse(t)
	assert.Len(t, value[[]string](t, b, shownPorts), 11)
	assert.Equal(t, "11 of 11 ports", value[string](t, b, `document.getElementById('count').textContent`))

	// A word filters, every word has to fit, and Escape takes it away.
	b.run(t, chromedp.SendKeys(chromedp.CSS("#text"), "shop pricing"))
	assert.Equal(t, []string{"Deployment pricing port 9000"}, value[[]string](t, b, shownPorts))
	b.run(t, chromedp.SendKeys(chromedp.CSS("#text"), kb.Escape))
	assert.Len(t, value[[]string](t, b, shownPorts), 11)

	// So do namespace and verdict, by the keyboard alone.
	b.run(t, chromedp.Focus(chromedp.CSS("#namespace")), chromedp.KeyEvent("o"))
	assert.Equal(t, "ops", value[string](t, b, `document.getElementById('namespace').value`))
	assert.Len(t, value[[]string](t, b, shownPorts), 2)
	assert.Equal(t, 1, value[int](t, b, `Array.from(document.querySelectorAll('.namespace')).filter(e => e.checkVisibility()).length`), "empty namespaces are put away")
	b.run(t, chromedp.Focus(chromedp.CSS("input[value=unprotected]")), chromedp.KeyEvent(" "))
	assert.Equal(t, []string{"Deployment queue port 5672"}, value[[]string](t, b, shownPorts))
	b.run(t, chromedp.Click(chromedp.CSS("button[type=reset]")), chromedp.Sleep(50*time.Millisecond))
	assert.Len(t, value[[]string](t, b, shownPorts), 11)

	// The slash leads to the search, Enter opens a row, and a button all of them.
	assert.True(t, value[bool](t, b, `document.activeElement.blur(), true`))
	b.run(t, chromedp.KeyEvent("/"))
	assert.Equal(t, "text", value[string](t, b, `document.activeElement.id`))
	assert.True(t, value[bool](t, b, `document.querySelector('details.port summary').focus(), true`))
	b.run(t, chromedp.KeyEvent(kb.Enter))
	assert.Equal(t, 1, value[int](t, b, `document.querySelectorAll('details[open]').length`))
	assert.True(t, value[bool](t, b, `document.querySelector('details[open] table').checkVisibility()`))
	b.run(t, chromedp.Click(chromedp.CSS("#unfold")))
	assert.Equal(t, 11, value[int](t, b, `document.querySelectorAll('details[open]').length`))
	b.quiet(t)
}

// quiet demands that the page asked for itself alone, and that nothing went wrong.
func (b *browsed) quiet(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	assert.Empty(t, b.errors)
	for _, r := range b.requests {
		assert.True(t, strings.HasPrefix(r, "file://") || strings.HasPrefix(r, "data:"), r)
	}
	assert.NotEmpty(t, b.requests)
}

func (b *browsed) media(t *testing.T, p emulation.SetEmulatedMediaParams) {
	t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, p)
	require.NoError(t, err)
}

// Whatever can be reached by the pointer can be reached by the tabulator, and no text is wider than a small screen.
func TestThePageIsUsableOnASmallScreenAndByKeyboard(t *testing.T) {
	b := browse(t)
	for range 12 {
		b.run(t, chromedp.KeyEvent(kb.Tab))
	}
	assert.NotEqual(t, "BODY", value[string](t, b, `document.activeElement.tagName`))
	assert.Empty(t, value[[]string](t, b, `Array.from(document.querySelectorAll('input,select')).filter(e => e.labels.length === 0).map(e => e.outerHTML)`), "fields have labels")
	assert.Empty(t, value[[]string](t, b, `Array.from(document.querySelectorAll('[id]')).map(e => e.id).filter((id, i, all) => all.indexOf(id) !== i)`), "each id is there once")
	assert.Empty(t, value[[]string](t, b, `Array.from(document.querySelectorAll('a[href^="#"]')).filter(e => !document.querySelector(e.getAttribute('href'))).map(e => e.outerHTML)`), "links lead somewhere")
	b.run(t, chromedp.EmulateViewport(390, 844))
	assert.LessOrEqual(t, value[int](t, b, `document.documentElement.scrollWidth`), 390)
	b.shoot(t, "phone")
	b.run(t, chromedp.EmulateViewport(1280, 1000))
	b.media(t, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
	b.shoot(t, "dark")
	b.quiet(t)
}

// Printed, the page has its rows opened and its controls put away.
func TestThePagePrints(t *testing.T) {
	b := browse(t)
	b.media(t, emulation.SetEmulatedMediaParams{Media: "print"})
	assert.False(t, value[bool](t, b, `document.getElementById('filters').checkVisibility()`))
	assert.True(t, value[bool](t, b, `document.querySelector('details.port table').getBoundingClientRect().height > 20`), "what is folded is printed too")
	pdf, err := chromedp.Run(b.ctx, chromedp.PrintToPDF())
	require.NoError(t, err)
	assert.Greater(t, len(pdf), 20_000)
	b.shoot(t, "print")
	b.quiet(t)
}

// shotsVariable names a folder for pictures of the page, to be looked at.
const shotsVariable = "PALISADE_SHOTS"

func (b *browsed) shoot(t *testing.T, name string) {
	t.Helper()
	folder := os.Getenv(shotsVariable)
	if folder == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(folder, name+".png"), png, 0o600))
}
