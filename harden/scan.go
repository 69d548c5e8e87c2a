package harden

import (
	"encoding/json"
	"strconv"
	"strings"
)

// A scanner walks over JSON without building it (RFC 8259). It takes no value for
// another: of what is not of the kind asked for it reports nothing and goes past it. Text that
// is no JSON ends the walk and sets bad; what is between tokens is not checked beyond that.
type scanner struct {
	text string
	at   int
	bad  bool
}

// peek is the next character that is not white space; 0 at the end.
func (s *scanner) peek() byte {
	for s.at < len(s.text) {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) fail() {
	s.bad = true
	s.at = len(s.text)
}

// object calls member for each member of an object, with its name; what member does not
// read is gone past. It reports whether there was an object.
func (s *scanner) object(member func(name string)) bool {
	if s.peek() != '{' {
		s.skip()
		return false
	}
	s.at++
	if s.peek() == '}' {
		s.at++
		return true
	}
	for !s.bad {
		if s.peek() != '"' {
			s.fail()
			return true
		}
		name := s.str()
		if s.peek() != ':' {
			s.fail()
			return true
		}
		s.at++
		s.peek()
		before := s.at
		if member(name); s.at == before {
			s.skip()
		}
		if s.end('}') {
			return true
		}
	}
	return true
}

// array calls element for each element of an array, with its number, as object does. It reports whether there was an array.
func (s *scanner) array(element func(i int)) bool {
	if s.peek() != '[' {
		s.skip()
		return false
	}
	s.at++
	if s.peek() == ']' {
		s.at++
		return true
	}
	for i := 0; !s.bad; i++ {
		s.peek()
		before := s.at
		if element(i); s.at == before {
			s.skip()
		}
		if s.end(']') {
			return true
		}
	}
	return true
}

// end goes past a comma, or past the character that closes, and tells which.
func (s *scanner) end(closing byte) bool {
	switch s.peek() {
	case ',':
		s.at++
		return false
	case closing:
		s.at++
		return true
	default:
		s.fail()
		return true
	}
}

// str reads a string; of any other value it returns "".
func (s *scanner) str() string {
	if s.peek() != '"' {
		s.skip()
		return ""
	}
	begin := s.at
	escaped := s.pass()
	if s.bad {
		return ""
	}
	if !escaped {
		return s.text[begin+1 : s.at-1]
	}
	var value string
	if json.Unmarshal([]byte(s.text[begin:s.at]), &value) != nil {
		s.fail()
	}
	return value
}

// pass goes past a string, and tells whether anything in it is escaped.
func (s *scanner) pass() (escaped bool) {
	for i := s.at + 1; i < len(s.text); i++ {
		switch s.text[i] {
		case '"':
			s.at = i + 1
			return escaped
		case '\\':
			escaped = true
			i++
		}
	}
	s.fail()
	return escaped
}

// raw reads any value as its text.
func (s *scanner) raw() string {
	s.peek()
	begin := s.at
	s.skip()
	return s.text[begin:s.at]
}

// boolean reads true or false; any other value is unsaid.
func (s *scanner) boolean() said {
	switch s.raw() {
	case "true":
		return yes
	case "false":
		return no
	default:
		return unsaid
	}
}

// number reads a whole number; any other value is not there.
func (s *scanner) number() number {
	value, err := strconv.ParseInt(s.raw(), 10, 64)
	return number{there: err == nil, value: value}
}

// there reads any value and tells whether it is more than null.
func (s *scanner) there() bool { return s.raw() != "null" }

// skip goes past one value, however deep.
func (s *scanner) skip() {
	depth := 0
	for {
		switch c := s.peek(); c {
		case 0:
			s.fail()
			return
		case '{', '[':
			depth++
			s.at++
		case '}', ']':
			if depth--; depth < 0 {
				s.fail()
				return
			}
			s.at++
		case '"':
			s.pass()
		case ',', ':':
			if depth == 0 {
				s.fail()
				return
			}
			s.at++
			continue
		default:
			s.literal()
		}
		if depth == 0 || s.bad {
			return
		}
	}
}

// literal goes past a number, true, false or null.
func (s *scanner) literal() {
	if end := strings.IndexAny(s.text[s.at:], ",:]}[{\" \t\n\r"); end > 0 {
		s.at += end
		return
	}
	s.at = len(s.text)
}
