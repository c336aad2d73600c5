import test from 'ava';
import {boundaryOf, receivedFields, safeContentType} from '../../api/pipe-headers.ts';
import type {Metadata} from '../../runtime/pipe/parties.ts';

for (const [sent, safe] of [
  ['text/html', 'text/plain'],
  ['TEXT/HTML; charset=UTF-8', 'text/plain; charset=utf-8'],
  ['application/xhtml+xml', 'text/plain'],
  ['image/svg+xml', 'text/plain'],
  ['Image/SVG+XML;charset=x', 'text/plain'],
  ['text/xml', 'text/plain'],
  ['application/xml', 'text/plain'],
  ['application/atom+xml', 'text/plain'],
  ['text/javascript', 'text/plain'],
  ['application/x-javascript', 'text/plain'],
  ['application/ecmascript', 'text/plain'],
  ['text/jscript', 'text/plain'],
  ['text/livescript', 'text/plain'],
  ['multipart/x-mixed-replace; boundary=a', 'text/plain'],
  ['video/webm; codecs="vp8"', 'video/webm'],
  ['text/plain; charset="iso-8859-1"', 'text/plain; charset=iso-8859-1'],
  ['text/plain; charset=utf-7', 'text/plain'],
  ['application/json', 'application/json'],
  [null, 'application/octet-stream'],
  ['', 'application/octet-stream'],
  ['nonsense', 'application/octet-stream'],
  ['text/plain, text/html', 'application/octet-stream'],
] as const) {
  test(`S80: the type ${JSON.stringify(sent)} reaches a receiver as ${safe}`, (t) => {
    t.is(safeContentType(sent), safe);
  });
}

const metadata: Metadata = {contentType: null, contentDisposition: null, lengthBytes: null, notes: new Map()};

for (const {title, type = null, sent = null, download = null, filename = null, expect} of [
  {title: 'nothing is made up', expect: null},
  {
    title: 'the sender’s name is rebuilt',
    sent: 'attachment; filename=a.txt',
    expect: 'attachment; filename="a.txt"',
  },
  {title: 'inline text stays inline', type: 'text/plain', sent: 'inline', expect: 'inline'},
  {
    title: 'an inline picture too',
    type: 'image/png',
    sent: 'inline; filename="a.png"',
    expect: 'inline; filename="a.png"',
  },
  {
    title: 'inline of an unknown type is saved',
    type: 'application/zip',
    sent: 'inline',
    expect: 'attachment',
  },
  {title: 'inline without a type is saved', sent: 'inline', expect: 'attachment'},
  {title: 'inline SVG is text by then', type: 'image/svg+xml', sent: 'inline', expect: 'inline'},
  {
    title: 'a form’s disposition is saved',
    sent: 'form-data; name="f"; filename="x.bin"',
    expect: 'attachment; filename="x.bin"',
  },
  {
    title: 'download takes the name from the path',
    download: true,
    expect: 'attachment; filename="today.txt"',
  },
  {
    title: 'download prefers the sender’s name',
    download: true,
    sent: 'inline; filename="b"',
    expect: 'attachment; filename="b"',
  },
  {title: 'download=0 drops the sender’s', download: false, sent: 'attachment', expect: null},
  {title: 'download=0 wins over filename', download: false, filename: 'a', expect: null},
  {
    title: 'filename overrides',
    filename: 'c.txt',
    sent: 'attachment; filename="b"',
    expect: 'attachment; filename="c.txt"',
  },
  {
    title: 'filename is cleaned',
    filename: '..\\../.e\0t\r\nc/pass"wd',
    expect: 'attachment; filename="etcpass_wd"; filename*=UTF-8\'\'etcpass%22wd',
  },
  {title: 'an empty filename is a bare attachment', filename: '/', expect: 'attachment'},
  {
    title: 'other scripts are encoded',
    filename: 'naïve.txt',
    expect: 'attachment; filename="na_ve.txt"; filename*=UTF-8\'\'na%C3%AFve.txt',
  },
  {
    title: 'UTF-8 in a plain name is understood',
    sent: 'attachment; filename="na\u00c3\u00afve"',
    expect: 'attachment; filename="na_ve"; filename*=UTF-8\'\'na%C3%AFve',
  },
  {
    title: 'the encoded name wins',
    sent: 'attachment; filename="x"; filename*=UTF-8\'\'y',
    expect: 'attachment; filename="y"',
  },
]) {
  test(`Content-Disposition: ${title}`, (t) => {
    const fields = new Map(
      receivedFields({...metadata, contentType: type, contentDisposition: sent}, 'id', {
        download,
        filename,
        path: 'logs/today.txt',
      }),
    );
    t.is(fields.get('Content-Disposition') ?? null, expect);
  });
}

test('a name has at most 255 characters', (t) => {
  const fields = new Map(
    receivedFields(metadata, 'id', {download: true, filename: 'x'.repeat(300), path: 'p'}),
  );
  t.is(fields.get('Content-Disposition'), `attachment; filename="${'x'.repeat(255)}"`);
});

test('notes pass up to 8 KiB, and only what is there is exposed', (t) => {
  const wishes = {download: null, filename: null, path: 'p'};
  const notes = new Map([
    ['x-piping', 'hello'],
    ['x-hoody-pipe', 'y'.repeat(8193)],
  ]);
  const fields = new Map(receivedFields({...metadata, notes}, 'id', wishes));
  t.is(fields.get('X-Piping'), 'hello');
  t.false(fields.has('X-Hoody-Pipe'));
  t.is(fields.get('Access-Control-Expose-Headers'), 'X-Hoody-Pipe-Transfer-Id, X-Piping');
  t.is(fields.get('X-Robots-Tag'), 'none');
  t.is(fields.get('X-Content-Type-Options'), 'nosniff');
});

test('only forms are taken apart', (t) => {
  t.is(boundaryOf('multipart/form-data; boundary=abc'), 'abc');
  t.is(boundaryOf('Multipart/Form-Data; charset=x; boundary="a b"'), 'a b');
  t.is(boundaryOf('multipart/mixed; boundary=abc'), null);
  t.is(boundaryOf('text/plain'), null);
  t.is(boundaryOf(undefined), null);
});
