package report

import (
	"bytes"
	"fmt"

	svg "github.com/ajstarks/svgo"

	"floe.dev/palisade/verdict"
)

// legendHeight is the room below the picture for what its lines mean.
const legendHeight = 34

// line is how a protection is drawn: it shows by its dashes as well as by its colour.
type line struct{ marker, colour, dash, text string }

var (
	protectedLine = line{"protected", "#1a7f37", "none", "mTLS"}
	plainLine     = line{"plain", "#b35900", "7,4", "plaintext"}
	doubtfulLine  = line{"doubtful", "#6e7781", "2,4", "not known"}
)

func lineOf(a verdict.Allowance) line {
	switch {
	case a.Standing == verdict.Unknown:
		return doubtfulLine
	case a.Protection == verdict.MTLS:
		return protectedLine
	default:
		return plainLine
	}
}

// line is how an edge is drawn.
func (e *pictureEdge) line() line {
	if e.kind != nil {
		return *e.kind
	}
	return lineOf(e.how)
}

// MapSVG is a map as a picture: clients on the left, servers on the right.
func MapSVG(m *verdict.Map, o MapOptions) []byte {
	p := draw(m, o)
	p.unhub()
	p.unrestricted()
	p.lonely()
	return pictureSVG(p, "Who reaches whom, and how protected", []line{protectedLine, plainLine, doubtfulLine})
}

// pictureSVG draws a picture, with a legend of its lines.
func pictureSVG(p picture, title string, kinds []line) []byte {
	l := newLayout(p)
	l.kinds = kinds
	var out bytes.Buffer
	canvas := svg.New(&out)
	width, height := max(l.width, 560), l.height+legendHeight+len(l.notes)*lineHeight
	for _, note := range l.notes {
		width = max(width, int(float64(len([]rune(note)))*letterWidth)+2*margin)
	}
	canvas.Startview(width, height, 0, 0, width, height)
	canvas.Title(title)
	canvas.Style("text/css", "text{font-family:Helvetica,Arial,sans-serif;font-size:13px;fill:#1f2328}"+
		".place{font-size:11px;fill:#57606a}.ports{font-size:11px;paint-order:stroke;stroke:#ffffff;stroke-width:4px}"+
		".node{fill:#f6f8fa;stroke:#57606a}.outside{fill:#ffffff;stroke:#57606a;stroke-dasharray:3,3}path{fill:none;stroke-width:1.6}")
	canvas.Rect(0, 0, width, height, "fill:#ffffff")
	arrowheads(canvas, kinds)
	for i := range l.edges {
		l.edge(canvas, i)
	}
	for n := range l.nodes {
		l.node(canvas, n)
	}
	for i := range l.edges {
		l.label(canvas, i)
	}
	l.legend(canvas)
	canvas.End()
	return out.Bytes()
}

func arrowheads(canvas *svg.SVG, kinds []line) {
	canvas.Def()
	for _, kind := range kinds {
		canvas.Marker(kind.marker, 9, 4, 10, 8, `orient="auto"`, `markerUnits="userSpaceOnUse"`)
		canvas.Path("M0,0 L10,4 L0,8 Z", "fill:"+kind.colour+";stroke:none")
		canvas.MarkerEnd()
	}
	canvas.DefEnd()
}

func (l *layout) node(canvas *svg.SVG, n int) {
	b, node := l.boxes[n], &l.nodes[n]
	if node.bend {
		return
	}
	class := `class="node"`
	if node.outside {
		class = `class="outside"`
	}
	canvas.Roundrect(b.x, b.y, b.width, b.height, 6, 6, class)
	y := b.y + lineHeight
	if node.place != "" {
		canvas.Text(b.x+nodePadding, y-1, node.place, `class="place"`)
		y += lineHeight
	}
	for _, text := range node.lines {
		canvas.Text(b.x+nodePadding, y, text)
		y += lineHeight
	}
}

// curve is a piece of an edge's way.
type curve struct{ x0, y0, x1, y1, x2, y2, x3, y3 int }

// curves are the way of an edge: from the right side of the client over its bends
// to the left side of the server, or around where the server stands no further right.
func (l *layout) curves(i int) []curve {
	e := &l.edges[i]
	from, to := l.boxes[e.from], l.boxes[e.to]
	switch {
	case e.from == e.to:
		right, bend := from.x+from.width, from.x+from.width+columnGap/2
		return []curve{{right, from.y + from.height/3, bend, from.y + from.height/3 - lineHeight, bend, from.y + 2*from.height/3 + lineHeight, right, from.y + 2*from.height/3}}
	case l.column[e.to] <= l.column[e.from]:
		start, end := from.x+from.width, to.x+to.width
		bend := max(start, end) + columnGap/2
		return []curve{{start, from.y + from.height/2, bend, from.y + from.height/2, bend, to.y + to.height/2, end, to.y + to.height/2}}
	}
	chain := l.chain(i)
	var list []curve
	for k := 1; k < len(chain); k++ {
		a, b := l.boxes[chain[k-1]], l.boxes[chain[k]]
		c := curve{x0: a.x + a.width, y0: a.y + a.height/2, x3: b.x, y3: b.y + b.height/2}
		reach := (c.x3 - c.x0) / 2
		c.x1, c.y1, c.x2, c.y2 = c.x0+reach, c.y0, c.x3-reach, c.y3
		list = append(list, c)
	}
	return list
}

// at is a point of the curve, t from 0 to 1.
func (c curve) at(t float64) (x, y int) {
	mix := func(a, b, d, e int) int {
		s := 1 - t
		return int(s*s*s*float64(a) + 3*s*s*t*float64(b) + 3*s*t*t*float64(d) + t*t*t*float64(e))
	}
	return mix(c.x0, c.x1, c.x2, c.x3), mix(c.y0, c.y1, c.y2, c.y3)
}

func (l *layout) edge(canvas *svg.SVG, i int) {
	list, kind := l.curves(i), l.edges[i].line()
	path := fmt.Sprintf("M%d,%d", list[0].x0, list[0].y0)
	for k, c := range list {
		if k > 0 { // past what stands in the column
			path += fmt.Sprintf(" L%d,%d", c.x0, c.y0)
		}
		path += fmt.Sprintf(" C%d,%d %d,%d %d,%d", c.x1, c.y1, c.x2, c.y2, c.x3, c.y3)
	}
	canvas.Path(path, fmt.Sprintf("stroke:%s;stroke-dasharray:%s;marker-end:url(#%s)", kind.colour, kind.dash, kind.marker))
}

// label writes the ports near the server, where lines lie apart.
func (l *layout) label(canvas *svg.SVG, i int) {
	list := l.curves(i)
	x, y := list[len(list)-1].at(0.66)
	text := l.edges[i].label
	if l.edges[i].how.Standing == verdict.InPart {
		text += ", some requests"
	}
	canvas.Text(x, y-4, text, `class="ports"`, `text-anchor="middle"`)
}

func (l *layout) legend(canvas *svg.SVG) {
	x, y := margin, l.height+legendHeight/2
	for _, kind := range l.kinds {
		canvas.Path(fmt.Sprintf("M%d,%d L%d,%d", x, y-4, x+46, y-4), fmt.Sprintf("stroke:%s;stroke-dasharray:%s;marker-end:url(#%s)", kind.colour, kind.dash, kind.marker))
		canvas.Text(x+54, y, kind.text)
		x += 160
	}
	for _, note := range l.notes {
		y += lineHeight
		canvas.Text(margin, y, note)
	}
}
