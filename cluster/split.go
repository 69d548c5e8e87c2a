package cluster

import (
	"bytes"
)

// chunk is a piece of a file that can be parsed by itself: what stands
// between two document markers. It holds one YAML document, or a stream of JSON values.
type chunk struct {
	file string
	// line of the file on which text begins, from 1, and begin its offset.
	line, begin int
	text        []byte
}

// splitter cuts a file at its document markers. That is exact: a line that
// begins with "---" or "..." is a marker wherever it stands, even inside block
// and quoted scalars (YAML 1.2, rule c-forbidden), and JSON has no such line.
type splitter struct {
	file   string
	data   []byte
	chunks []*chunk
	// start and line are where the current chunk begins.
	start, line int
	// content tells that the current chunk holds more than comments, directives and a marker.
	content bool
	// marked tells that the current chunk has its "---" already.
	marked bool
}

// split cuts a file into chunks. Documents that are empty or hold only comments are left out.
func split(f file) []*chunk {
	s := &splitter{file: f.path, data: f.data, line: 1}
	at, number := 0, 1
	for at < len(f.data) {
		end := bytes.IndexByte(f.data[at:], '\n') + at + 1
		if end == at {
			end = len(f.data)
		}
		s.take(f.data[at:end], at, end, number)
		at, number = end, number+1
	}
	s.cut(len(f.data), number)
	return s.chunks
}

// take looks at the line between two offsets.
func (s *splitter) take(line []byte, at, end, number int) {
	switch {
	case isMarker(line, "---"):
		// What precedes the marker belongs to it where it is only directives and comments.
		if s.content || s.marked {
			s.cut(at, number)
		}
		s.marked = true
		s.content = holdsContent(line[3:])
	case isMarker(line, "..."):
		s.cut(end, number+1)
	case !s.content && (line[0] != '%' || s.marked):
		s.content = holdsContent(line)
	}
}

// cut ends the current chunk before an offset, which is on the line of that number.
func (s *splitter) cut(at, number int) {
	if s.content {
		s.chunks = append(s.chunks, &chunk{file: s.file, line: s.line, begin: s.start, text: s.data[s.start:at]})
	}
	s.start, s.line, s.content, s.marked = at, number, false, false
}

func isMarker(line []byte, marker string) bool {
	if !bytes.HasPrefix(line, []byte(marker)) {
		return false
	}
	return len(line) == 3 || bytes.IndexByte([]byte(" \t\r\n"), line[3]) >= 0
}

func holdsContent(line []byte) bool {
	line = bytes.TrimLeft(line, " \t\r\n")
	return len(line) > 0 && line[0] != '#'
}
