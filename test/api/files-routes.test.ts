import {existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {execHttp} from '../helpers/exec-http.ts';

const api = '/api/v1/files';

test('a file is written whole, read, listed and removed', async (t) => {
  const {request, json, home} = await execHttp(t);
  const written = await request('PUT', `${api}/reports/april%20%C3%A9.csv`, 'a,b\n1,2\n');
  t.is(written.status, 201);
  t.deepEqual(await written.json(), {path: 'reports/april é.csv', size: 8, created: true});
  t.is(readFileSync(join(home, 'reports/april é.csv'), 'utf8'), 'a,b\n1,2\n');
  t.is((await request('PUT', `${api}/reports/april%20%C3%A9.csv`, 'new')).status, 200);
  const read = await request('GET', `${api}/reports/april%20%C3%A9.csv`);
  t.is(await read.text(), 'new');
  t.is(read.headers.get('content-type'), 'text/csv; charset=utf-8');
  t.is(read.headers.get('x-content-type-options'), 'nosniff');
  t.like((await json('GET', `${api}/reports`)).body, {
    path: 'reports',
    count: 1,
    entries: {0: {name: 'april é.csv', path: 'reports/april é.csv', type: 'file', size: 3}},
  });
  t.like((await json('GET', `${api}/?list=true`)).body, {entries: {0: {name: 'reports', type: 'directory'}}});
  t.is((await json('DELETE', `${api}/reports`)).status, 409);
  t.like((await json('DELETE', `${api}/reports/april%20%C3%A9.csv`)).body, {deleted: true});
  t.is((await json('DELETE', `${api}/reports`)).status, 200);
  t.deepEqual(readdirSync(home), []);
});

test('a directory goes with all that is in it when that is said', async (t) => {
  const {json, home} = await execHttp(t);
  mkdirSync(join(home, 'a/b'), {recursive: true});
  writeFileSync(join(home, 'a/b/c'), '');
  t.is((await json('DELETE', `${api}/a?recursive=true`)).status, 200);
  t.is((await json('DELETE', `${api}/?recursive=true`)).status, 409);
  t.is((await json('DELETE', `${api}/a`)).status, 404);
});

const ranges: readonly (readonly [string, number, string, string | null])[] = [
  ['bytes=0-3', 206, '0123', 'bytes 0-3/10'],
  ['bytes=4-', 206, '456789', 'bytes 4-9/10'],
  ['bytes=-3', 206, '789', 'bytes 7-9/10'],
  ['bytes=-30', 206, '0123456789', 'bytes 0-9/10'],
  ['bytes=9-99', 206, '9', 'bytes 9-9/10'],
  ['bytes=0-0', 206, '0', 'bytes 0-0/10'],
  ['bytes=5-4', 200, '0123456789', null],
  ['bytes=0-1,3-4', 200, '0123456789', null],
  ['lines=1-2', 200, '0123456789', null],
  ['bytes=-', 200, '0123456789', null],
  ['bytes=x-', 200, '0123456789', null],
];
for (const [range, status, body, contentRange] of ranges) {
  test(`the range ${range}`, async (t) => {
    const {request, home} = await execHttp(t);
    writeFileSync(join(home, 'digits'), '0123456789');
    const answer = await request('GET', `${api}/digits`, undefined, {range});
    t.is(answer.status, status);
    t.is(await answer.text(), body);
    t.is(answer.headers.get('content-range'), contentRange);
    t.is(answer.headers.get('content-length'), String(body.length));
  });
}

test('a range behind the end says how long the file is', async (t) => {
  const {request, home} = await execHttp(t);
  writeFileSync(join(home, 'digits'), '0123456789');
  for (const range of ['bytes=10-', 'bytes=99-100', 'bytes=-0']) {
    const answer = await request('GET', `${api}/digits`, undefined, {range});
    t.is(answer.status, 416, range);
    t.is(answer.headers.get('content-range'), 'bytes */10');
    t.like(await answer.json(), {code: 'RANGE_NOT_SATISFIABLE', details: {size: 10}});
  }
});

test('tags tell whether a file changed', async (t) => {
  const {request, home} = await execHttp(t);
  writeFileSync(join(home, 'a'), 'one');
  const etag = (await request('GET', `${api}/a`)).headers.get('etag') ?? '';
  const same = await request('GET', `${api}/a`, undefined, {'if-none-match': etag});
  t.is(same.status, 304);
  writeFileSync(join(home, 'a'), 'longer');
  t.is((await request('GET', `${api}/a`, undefined, {'if-none-match': etag})).status, 200);
  const stale = await request('GET', `${api}/a`, undefined, {range: 'bytes=0-0', 'if-range': etag});
  t.is(stale.status, 200);
  t.is(await stale.text(), 'longer');
});

test('HEAD tells the length and sends nothing; an empty file is one', async (t) => {
  const {request, home} = await execHttp(t);
  writeFileSync(join(home, 'a'), 'one');
  const head = await request('HEAD', `${api}/a`);
  t.is(head.headers.get('content-length'), '3');
  t.is(await head.text(), '');
  t.is((await request('PUT', `${api}/empty`)).status, 201);
  t.is(await (await request('GET', `${api}/empty`)).text(), '');
  t.is((await request('GET', `${api}/empty`, undefined, {range: 'bytes=0-'})).status, 416);
});

test('a body above the limit leaves what was there, and nothing else', async (t) => {
  const {request, home} = await execHttp(t, {maxFileBytes: 10});
  t.is((await request('PUT', `${api}/a`, '0123456789')).status, 201);
  t.is((await request('PUT', `${api}/a`, '0123456789x')).status, 413);
  t.is(readFileSync(join(home, 'a'), 'utf8'), '0123456789');
  t.deepEqual(readdirSync(home), ['a']);
});

test('a body that breaks off leaves what was there', async (t) => {
  const {request, home} = await execHttp(t);
  writeFileSync(join(home, 'a'), 'kept');
  const body = new ReadableStream<Uint8Array>({
    start(stream) {
      stream.enqueue(new TextEncoder().encode('half'));
    },
    pull(stream) {
      stream.error(new Error('the client left'));
    },
  });
  t.is((await request('PUT', `${api}/a`, body)).status, 500);
  t.is(readFileSync(join(home, 'a'), 'utf8'), 'kept');
  t.deepEqual(readdirSync(home), ['a']);
});

test('no path leaves the data directory, and no link is followed', async (t) => {
  const {request, home, directory} = await execHttp(t);
  writeFileSync(join(directory, 'secret'), 'secret');
  symlinkSync(join(directory, 'secret'), join(home, 'link'));
  symlinkSync(directory, join(home, 'up'));
  mkdirSync(join(home, 'd'));
  for (const path of [
    '/../secret',
    '/..%2fsecret',
    '/%2e%2e/secret',
    '/d/..%2f..%2fsecret',
    '//etc/passwd',
    '/%2fetc%2fpasswd',
    '/link',
    '/up/secret',
    '/up',
    '/a%00b',
    '/a%0ab',
    '/a/./b%2f..',
    '/%',
    `/${'x'.repeat(300)}`,
  ]) {
    for (const [method, query] of [
      ['GET', ''],
      ['GET', '?stat'],
      ['GET', '?lines=1-2'],
      ['PUT', ''],
      ['PUT', '?append=true'],
      ['PATCH', ''],
      ['DELETE', ''],
    ] as const) {
      const body = method === 'PUT' || method === 'PATCH' ? 'hostile' : undefined;
      const answer = await request(method, `${api}${path}${query}`, body, {'x-update-range': 'append'});
      t.true(answer.status >= 400 && answer.status < 500, `${method} ${path}${query} ${answer.status}`);
      t.false((await answer.text()).includes('secret":'), path);
    }
  }
  t.is(readFileSync(join(directory, 'secret'), 'utf8'), 'secret');
  t.true(existsSync(join(home, 'link')) && existsSync(join(home, 'up')));
  t.deepEqual(readdirSync(join(home, 'd')), []);
});

test('a list shows links and does not look behind them', async (t) => {
  const {json, home} = await execHttp(t);
  symlinkSync('/etc', join(home, 'etc'));
  t.like((await json('GET', `${api}/`)).body, {entries: {0: {name: 'etc', type: 'other'}}});
  t.is((await json('GET', `${api}/etc/`)).status, 409);
  writeFileSync(join(home, 'file'), '');
  t.is((await json('GET', `${api}/file?list=true`)).status, 409);
  t.is((await json('GET', `${api}/file/below`)).status, 409);
  t.is((await json('GET', `${api}/none`)).status, 404);
});

test('facts about a file and a directory', async (t) => {
  const {json, home} = await execHttp(t);
  mkdirSync(join(home, 'a'));
  writeFileSync(join(home, 'a/b.csv'), 'x,y\n', {mode: 0o640});
  const {status, body} = await json('GET', `${api}/a/b.csv?stat`);
  t.is(status, 200);
  t.like(body, {name: 'b.csv', path: 'a/b.csv', type: 'file', size: 4, permissions: '640'});
  t.regex((body as {etag: string}).etag, /^"[\w-]+"$/);
  t.like((await json('GET', `${api}/a?stat=true`)).body, {name: 'a', type: 'directory', etag: null});
  t.like((await json('GET', `${api}/?stat=1`)).body, {name: '', path: '', type: 'directory'});
  t.is((await json('GET', `${api}/none?stat`)).status, 404);
  t.is((await json('GET', `${api}/a?stat=perhaps`)).status, 400);
});

const lineRanges: readonly (readonly [string, string])[] = [
  ['1-1', 'one\n'],
  ['2-3', 'two\n\n'],
  ['2', 'two\n'],
  ['3-', '\nfour'],
  ['4-4', 'four'],
  ['4-900', 'four'],
  ['1-', 'one\ntwo\n\nfour'],
  ['5-9', ''],
];
for (const [lines, text] of lineRanges) {
  test(`the lines ${lines}`, async (t) => {
    const {request, home} = await execHttp(t);
    writeFileSync(join(home, 'text.html'), 'one\ntwo\n\nfour');
    const answer = await request('GET', `${api}/text.html?lines=${lines}`);
    t.is(answer.status, 200);
    t.is(await answer.text(), text);
    t.is(answer.headers.get('content-type'), 'text/plain; charset=utf-8');
  });
}

test('lines are found across reads, and numbers that are none are refused', async (t) => {
  const {request, json, home} = await execHttp(t);
  const long = Array.from({length: 100_000}, (_, index) => `line ${index + 1}`);
  writeFileSync(join(home, 'long'), `${long.join('\n')}\n`);
  for (const [first, last] of [
    [1, 100_000],
    [29_000, 31_000],
    [99_999, 100_000],
  ] as const) {
    const answer = await request('GET', `${api}/long?lines=${first}-${last}`);
    t.is(await answer.text(), `${long.slice(first - 1, last).join('\n')}\n`);
  }
  for (const lines of ['', '0', '0-1', '3-2', '-5', 'a', '1-b', '1-2-3', '9'.repeat(13)])
    t.is((await json('GET', `${api}/long?lines=${lines}`)).status, 400, lines);
  t.like(await json('GET', `${api}/none?lines=1`), {status: 404});
});

test('bytes are added to the end of a file, and none is lost among many writers', async (t) => {
  const {request, home} = await execHttp(t, {maxFileBytes: 300});
  const append = (text: string) => request('PUT', `${api}/log/a.txt?append=true`, text);
  const first = await append('start\n');
  t.is(first.status, 201);
  t.deepEqual(await first.json(), {path: 'log/a.txt', size: 6, created: true});
  const rest = await Promise.all(Array.from({length: 20}, (_, n) => append(`line ${n + 10}\n`)));
  t.true(rest.every(({status}) => status === 200));
  const lines = readFileSync(join(home, 'log/a.txt'), 'utf8').trimEnd().split('\n');
  t.deepEqual([lines[0], new Set(lines).size], ['start', 21]);
  t.is((await append('x'.repeat(200))).status, 413);
  t.is((await request('PUT', `${api}/log?append=true`, 'x')).status, 409);
});

test('a part of a file is written where the request says', async (t) => {
  const {request, home} = await execHttp(t, {maxFileBytes: 20});
  const patch = (range: string | null, text: string, path = 'a') =>
    request('PATCH', `${api}/${path}`, text, range === null ? {} : {'x-update-range': range});
  t.is((await patch('append', '0123456789')).status, 201);
  t.deepEqual(await (await patch('bytes=2-4', 'abc')).json(), {path: 'a', size: 10, created: false});
  await patch('bytes=9-', 'xyz');
  t.is(readFileSync(join(home, 'a'), 'utf8'), '01abc5678xyz');
  t.is((await patch('bytes=12-', '!')).status, 200);
  const behind = await patch('bytes=14-', '!');
  t.is(behind.status, 416);
  t.like(await behind.json(), {code: 'RANGE_NOT_SATISFIABLE', details: {size: 13}});
  t.is((await patch('bytes=10-', 'x'.repeat(11))).status, 413);
  t.is((await patch('bytes=0-', 'x', 'none')).status, 404);
  for (const range of [null, '', 'bytes', 'bytes=-5', 'bytes=a-', 'lines=1-2'])
    t.is((await patch(range, 'x')).status, 400, String(range));
  t.is(readFileSync(join(home, 'a'), 'utf8'), '01abc5678xyz!');
});

test('what is not offered of files says so', async (t) => {
  const {json, home} = await execHttp(t);
  writeFileSync(join(home, 'a'), 'now');
  for (const query of ['history=1', 'revision=3', 'at=1700000000000', 'diff=1&from_seq=2'])
    t.like(await json('GET', `${api}/a?${query}`), {status: 501, body: {code: 'NOT_IMPLEMENTED'}}, query);
  t.like(await json('POST', `${api}/a`), {status: 501, body: {code: 'NOT_IMPLEMENTED'}});
});
