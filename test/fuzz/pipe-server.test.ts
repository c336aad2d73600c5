import test from 'ava';
import fc from 'fast-check';
import {fuzz} from '../helpers/fuzz.ts';
import {createPipeWorld} from '../helpers/pipe-world.ts';
import {sendRaw} from '../helpers/raw-http.ts';

const method = fc.constantFrom('GET', 'PUT', 'POST', 'HEAD', 'OPTIONS', 'DELETE', 'get', '');
const target = fc
  .tuple(
    fc.constantFrom(
      '/x',
      '/api/v1/pipe/x',
      '/',
      '/help',
      '/%2e%2e/%5c',
      '/a%00',
      '//',
      'http://evil/x',
      '*',
      '/é',
      '/x#y',
    ),
    fc.constantFrom(
      '',
      '?n=2',
      '?n=0',
      '?wait=1',
      '?status',
      '?progress',
      '?live',
      '?rate=1',
      '?sha256&receipts',
      '?key=',
      '?as=%00',
      '?n=1-256&wait=1',
      '?transfer=../../etc',
      '?video',
      '?filename=%0d%0aX: y&download',
      '?&&=&%',
    ),
  )

  // Nobody waits longer than a second for those who never come; behind a # nothing counts.
  .map(([path, query]) => path.replace(/(#.*)?$/, `${query === '' ? '?' : `${query}&`}wait=1$1`));
const header = fc.oneof(
  fc.constantFrom(
    'Content-Length: 3',
    'Content-Length: -3',
    'Transfer-Encoding: chunked',
    'Transfer-Encoding: identity',
    'Content-Type: multipart/form-data; boundary=b',
    'Content-Type: text/html',
    'Expect: 100-continue',
    'Accept: text/html',
    'Accept: application/x-ndjson',
    'Connection: keep-alive, X-Piping',
    'X-Piping: a',
    'Origin: null',
    'Host: other',
    'Content-Range: bytes 0-1/2',
    ' folded',
  ),
  fc.stringMatching(/^[ -~]{0,30}$/),
);
const body = fc.constantFrom(
  '',
  'abc',
  '3\r\nabc\r\n0\r\n\r\n',
  'zz\r\n',
  '3\r\nab',
  '--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\nabc\r\n--b--',
  '--b\r\n\r\n',
  'GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n',
);

test('whatever is sent to the pipe service, it answers once or not at all, and goes on', async (t) => {
  const {direct} = await createPipeWorld(t);
  const port = Number(new URL(direct).port);
  const request = fc.record({
    verb: method,
    path: target,
    headers: fc.array(header, {maxLength: 5}),
    sent: body,
  });
  await fuzz(
    t,
    // Together, so that they meet on the same names.
    fc.asyncProperty(fc.array(request, {minLength: 40, maxLength: 40}), async (requests) => {
      await Promise.all(
        requests.map(async ({verb, path, headers, sent}) => {
          const lines = ['Host: localhost', ...headers].map((line) => `${line}\r\n`).join('');
          const bytes = Buffer.from(`${verb} ${path} HTTP/1.1\r\n${lines}\r\n${sent}`, 'latin1');
          // Who watches the progress is not told to go.
          check(await sendRaw(port, bytes, {endAfterWrite: true, quietMs: 5000}));
        }),
      );
    }),
    {runs: 30},
  );
  const received = fetch(`${direct}/after`).then((response) => response.text());
  await (await fetch(`${direct}/after`, {method: 'POST', body: 'still here'})).text();
  t.is(await received, 'still here');
});

function check(answer: string): void {
  const heads = answer.match(/^HTTP\/1\.[01] (?!100)\d{3} /gm) ?? [];
  if (heads.length > 1) throw new Error(`two answers: ${answer}`);
  if (/^HTTP\/1\.[01] 500/.test(answer) && !/the sender brought no file|the upload broke off/.test(answer))
    throw new Error(answer);
  if (/^X: y/m.test(answer)) throw new Error(`a header was planted: ${answer}`);
}
