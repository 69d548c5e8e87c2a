package report

import (
	"cmp"
	"slices"
	"strings"
)

// Sizes in a picture, in pixels. The width of a letter is that of a common sans-serif face at 13 px, rounded up.
const (
	letterWidth = 7.4
	lineHeight  = 17
	nodePadding = 10
	columnGap   = 190
	rowGap      = 22
	margin      = 24
)

// box is where a node stands: its upper left corner and its size.
type box struct{ x, y, width, height int }

// layout places the nodes of a picture in columns, from clients on the left to
// servers on the right, in the manner of Sugiyama: cycles are cut, columns follow
// the longest path, an edge over several columns bends around what stands in between,
// and within a column each node goes to the middle of its neighbours.
type layout struct {
	picture
	columns [][]int
	column  []int
	boxes   []box
	// bends are, for each edge, the points in the columns that it passes: nodes without a picture of their own.
	bends [][]int
	// kinds are the lines that the legend explains.
	kinds []line
	// width and height are those of the whole picture.
	width, height int
}

func newLayout(p picture) *layout {
	l := &layout{picture: p, column: make([]int, len(p.nodes))}
	l.assignColumns()
	l.bend()
	l.boxes = make([]box, len(l.nodes))
	l.order()
	l.place()
	return l
}

// bend puts a point into every column that an edge passes.
func (l *layout) bend() {
	l.bends = make([][]int, len(l.edges))
	for i, e := range l.edges {
		for c := l.column[e.from] + 1; c < l.column[e.to]; c++ {
			n := len(l.nodes)
			l.nodes = append(l.nodes, pictureNode{place: l.nodes[e.to].place, lines: []string{l.nodes[e.to].lines[0]}, bend: true})
			l.column = append(l.column, c)
			l.columns[c] = append(l.columns[c], n)
			l.bends[i] = append(l.bends[i], n)
		}
	}
}

// chain is the way of an edge over its bends.
func (l *layout) chain(i int) []int {
	return slices.Concat([]int{l.edges[i].from}, l.bends[i], []int{l.edges[i].to})
}

// forward are the edges that lead to another node, less those that close a cycle.
func (l *layout) forward() [][]int {
	next := make([][]int, len(l.nodes))
	for _, e := range l.edges {
		if e.from != e.to && !slices.Contains(next[e.from], e.to) {
			next[e.from] = append(next[e.from], e.to)
		}
	}
	const (
		fresh = iota
		open
		done
	)
	state := make([]int, len(l.nodes))
	kept := make([][]int, len(l.nodes))
	var visit func(n int)
	visit = func(n int) {
		state[n] = open
		for _, to := range next[n] {
			if state[to] == open {
				continue
			}
			kept[n] = append(kept[n], to)
			if state[to] == fresh {
				visit(to)
			}
		}
		state[n] = done
	}
	for n := range l.nodes {
		if state[n] == fresh {
			visit(n)
		}
	}
	return kept
}

// assignColumns puts each node one column to the right of its rightmost client.
func (l *layout) assignColumns() {
	next := l.forward()
	for changed := true; changed; {
		changed = false
		for n := range l.nodes {
			for _, to := range next[n] {
				if l.column[to] <= l.column[n] {
					l.column[to] = l.column[n] + 1
					changed = true
				}
			}
		}
	}
	for n, c := range l.column {
		for len(l.columns) <= c {
			l.columns = append(l.columns, nil)
		}
		l.columns[c] = append(l.columns[c], n)
	}
}

// sweeps is how often the order of columns is improved, there and back.
const sweeps = 6

// order sorts each column: first by namespaces and names, then by where the neighbours stand.
func (l *layout) order() {
	for _, column := range l.columns {
		slices.SortStableFunc(column, func(a, b int) int {
			return cmp.Or(strings.Compare(l.nodes[a].place, l.nodes[b].place), strings.Compare(l.nodes[a].lines[0], l.nodes[b].lines[0]))
		})
	}
	neighbours := make([][]int, len(l.nodes))
	for i := range l.edges {
		chain := l.chain(i)
		for k := 1; k < len(chain); k++ {
			a, b := chain[k-1], chain[k]
			neighbours[a], neighbours[b] = append(neighbours[a], b), append(neighbours[b], a)
		}
	}
	for range sweeps {
		for c := range l.columns {
			l.sortColumn(c, neighbours)
		}
		for c := len(l.columns) - 1; c >= 0; c-- {
			l.sortColumn(c, neighbours)
		}
	}
}

// sortColumn orders a column by the mean place of each node's neighbours in other columns.
func (l *layout) sortColumn(c int, neighbours [][]int) {
	at := make([]float64, len(l.nodes))
	for _, column := range l.columns {
		for i, n := range column {
			at[n] = (float64(i) + 0.5) / float64(len(column))
		}
	}
	mean := make([]float64, len(l.nodes))
	for _, n := range l.columns[c] {
		sum, count := 0.0, 0
		for _, other := range neighbours[n] {
			if l.column[other] != c {
				sum += at[other]
				count++
			}
		}
		mean[n] = at[n]
		if count > 0 {
			mean[n] = sum / float64(count)
		}
	}
	slices.SortStableFunc(l.columns[c], func(a, b int) int { return cmp.Compare(mean[a], mean[b]) })
}

// place gives every node its box, columns being centred on each other.
func (l *layout) place() {
	heights := make([]int, len(l.columns))
	x := margin
	for c, column := range l.columns {
		widest := 0
		for _, n := range column {
			b := &l.boxes[n]
			b.x, b.width, b.height = x, l.nodes[n].width(), l.nodes[n].height()
			b.y = heights[c]
			heights[c] += b.height + rowGap
			widest = max(widest, b.width)
		}
		for _, n := range column {
			l.boxes[n].width = widest
		}
		x += widest + columnGap
	}
	tallest := 0
	for _, h := range heights {
		tallest = max(tallest, h)
	}
	for c, column := range l.columns {
		for _, n := range column {
			l.boxes[n].y += margin + (tallest-heights[c])/2
		}
	}
	l.width, l.height = max(x-columnGap, 0)+margin+columnGap/2, max(tallest-rowGap, 0)+2*margin
}

func (n *pictureNode) width() int {
	if n.bend {
		return 0
	}
	longest := len([]rune(n.place))
	for _, line := range n.lines {
		longest = max(longest, len([]rune(line)))
	}
	return int(float64(longest)*letterWidth) + 2*nodePadding
}

func (n *pictureNode) height() int {
	if n.bend {
		return 0
	}
	lines := len(n.lines)
	if n.place != "" {
		lines++
	}
	return lines*lineHeight + nodePadding
}
