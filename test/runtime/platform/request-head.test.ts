import test from 'ava';
import {parseRequestHead} from '../../../runtime/platform/request-head.ts';

const parse = (...lines: string[]) => parseRequestHead(lines.join('\r\n'));

test('a head is read into method, target, fields and the way its body is delimited', (t) => {
  t.like(parse('PUT /a?n=8 HTTP/1.1', 'Host: h', 'X-Piping: a', 'x-piping: b', 'Content-Length: 5'), {
    method: 'PUT',
    target: '/a?n=8',
    isHttp10: false,
    framing: {kind: 'length', bytes: 5},
    expectsContinue: false,
  });
  t.is(parse('GET / HTTP/1.1', 'Host: h', 'X-Piping: a', 'x-piping: b').fields.get('x-piping'), 'a, b');
});

test('S76: chunked bodies and `Expect: 100-continue` are understood', (t) => {
  t.like(parse('PUT / HTTP/1.1', 'Host: h', 'Transfer-Encoding: chunked', 'Expect: 100-continue'), {
    framing: {kind: 'chunked'},
    expectsContinue: true,
  });
});

test('HTTP/1.0 needs no Host and gets no 100', (t) => {
  t.like(parse('PUT / HTTP/1.0', 'Content-Length: 1', 'Expect: 100-continue'), {
    isHttp10: true,
    expectsContinue: false,
  });
});

for (const {title, lines} of [
  {title: 'no Host', lines: ['GET / HTTP/1.1']},
  {title: 'two Hosts', lines: ['GET / HTTP/1.1', 'Host: a', 'Host: b']},
  {
    title: 'both lengths',
    lines: ['PUT / HTTP/1.1', 'Host: h', 'Content-Length: 1', 'Transfer-Encoding: chunked'],
  },
  {
    title: 'two equal lengths',
    lines: ['PUT / HTTP/1.1', 'Host: h', 'Content-Length: 1', 'Content-Length: 1'],
  },
  {title: 'a list of lengths', lines: ['PUT / HTTP/1.1', 'Host: h', 'Content-Length: 1, 1']},
  {title: 'a signed length', lines: ['PUT / HTTP/1.1', 'Host: h', 'Content-Length: +1']},
  {
    title: 'a length beyond all numbers',
    lines: ['PUT / HTTP/1.1', 'Host: h', 'Content-Length: 9999999999999999999'],
  },
  {title: 'another encoding', lines: ['PUT / HTTP/1.1', 'Host: h', 'Transfer-Encoding: gzip, chunked']},
  {title: 'chunks in HTTP/1.0', lines: ['PUT / HTTP/1.0', 'Host: h', 'Transfer-Encoding: chunked']},
  {title: 'a blank before the colon', lines: ['PUT / HTTP/1.1', 'Host: h', 'Transfer-Encoding : chunked']},
  {title: 'a folded line', lines: ['GET / HTTP/1.1', 'Host: h', 'A: b', ' c']},
  {title: 'a bare line feed', lines: ['GET / HTTP/1.1', 'Host: h\nContent-Length: 3']},
  {title: 'a NUL', lines: ['GET / HTTP/1.1', 'Host: h', 'A: \0']},
  {title: 'no version', lines: ['GET /', 'Host: h']},
  {title: 'another version', lines: ['GET / HTTP/2.0', 'Host: h']},
  {title: 'a blank in the target', lines: ['GET /a b HTTP/1.1', 'Host: h']},
]) {
  test(`refused: ${title}`, (t) => {
    t.throws(() => parse(...lines), {code: 'MALFORMED_REQUEST'});
  });
}

test('an expectation that cannot be met is told apart', (t) => {
  t.throws(() => parse('PUT / HTTP/1.1', 'Host: h', 'Expect: a-miracle', 'Content-Length: 1'), {
    code: 'EXPECTATION_FAILED',
  });
});
