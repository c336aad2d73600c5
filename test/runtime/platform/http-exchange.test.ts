import test from 'ava';
import {Frame} from '../../../runtime/platform/byte-flow.ts';
import {type Exchange, serveExchanges} from '../../../runtime/platform/http-exchange.ts';
import type {AppError} from '../../../schemas/errors.ts';
import type {Teardown} from '../../helpers/git-world.ts';
import {RawClient} from '../../helpers/pipe-world.ts';

function answer(respond: Exchange['respond'], error: AppError): void {
  respond({status: error.status, fields: ['X-Code', error.code], lengthBytes: 0}).end();
}

test('a head that does not come in time is given up', async (t) => {
  const server = await serveExchanges(
    {kind: 'tcp', host: '127.0.0.1', port: 0},
    {handle: () => t.fail('there was no request'), refuse: (error, respond) => answer(respond, error)},
    {headTimeoutMs: 50},
  );
  t.teardown(() => server.close({graceMs: 0}));
  const client = await RawClient.connect(server.url);
  client.write('GET / HTTP/1.1\r\nHost: slow');
  await client.untilOver();
  t.is(client.status, 408);
  t.is(client.header('x-code'), 'REQUEST_TIMED_OUT');
});

test('a port that is taken is told to whoever chose it', async (t) => {
  const handler = {handle() {}, refuse() {}};
  const server = await serveExchanges({kind: 'tcp', host: '127.0.0.1', port: 0}, handler);
  t.teardown(() => server.close({graceMs: 0}));
  const port = Number(new URL(server.url).port);
  await t.throwsAsync(serveExchanges({kind: 'tcp', host: '127.0.0.1', port}, handler), {
    code: 'ADDRESS_IN_USE',
  });
});

test('what comes after a whole request on its connection is not taken for another one', async (t) => {
  const seen: string[] = [];
  const server = await serveExchanges(
    {kind: 'tcp', host: '127.0.0.1', port: 0},
    {
      handle({head, respond}) {
        seen.push(head.target);
        respond({status: 200, fields: [], lengthBytes: 0}).end();
      },
      refuse: (error, respond) => answer(respond, error),
    },
  );
  t.teardown(() => server.close({graceMs: 0}));
  const client = await RawClient.connect(server.url);
  client.write(
    'PUT /one HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nabGET /two HTTP/1.1\r\nHost: h\r\n\r\n',
  );
  client.finish();
  await client.untilOver();
  t.deepEqual(seen, ['/one']);
  t.is(client.text.match(/HTTP\/1\.1 200/g)?.length, 1);
});

/** A server that keeps connections and answers each request with its target, the body behind it. */
async function keeping(t: Teardown, options: {headTimeoutMs?: number} = {}) {
  const seen: string[] = [];
  const server = await serveExchanges(
    {kind: 'tcp', host: '127.0.0.1', port: 0},
    {
      handle({head, body, respond}) {
        seen.push(head.target);
        const chunks: Uint8Array[] = [];
        const isStream = head.target.startsWith('/stream');
        body.start({
          chunk: (bytes) => void chunks.push(bytes),
          end() {
            const text = Buffer.from(`${head.target} ${Buffer.concat(chunks).toString()};`);
            respond({
              status: head.target === '/nothing' ? 204 : 200,
              fields: [],
              lengthBytes: isStream ? null : text.length,
              keepsConnection: true,
            }).end(new Frame(text));
          },
          cut() {},
        });
      },
      refuse: (error, respond) => answer(respond, error),
    },
    options,
  );
  t.teardown(() => server.close({graceMs: 0}));
  return {server, seen, client: await RawClient.connect(server.url)};
}

test('one connection serves one request after the other, whatever delimits the bodies', async (t) => {
  const {client, seen} = await keeping(t);
  client.write('GET /a HTTP/1.1\r\nHost: h\r\n\r\n');
  await client.until('/a ;');
  client.write('PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi');
  await client.until('/b hi;');
  client.write('PUT /stream HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n');
  await client.until('/stream hi;\r\n0\r\n\r\n');
  client.write('GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n');
  await client.until('HTTP/1.1 204 No Content');
  client.write('HEAD /head HTTP/1.1\r\nHost: h\r\n\r\n');
  await client.until('Content-Length: 7\r\n\r\n');
  client.write('\r\nGET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n');
  await client.until('/last ;');
  t.deepEqual(seen, ['/a', '/b', '/stream', '/nothing', '/head', '/last']);
  t.false(client.text.includes('/nothing ;'));
  t.false(client.text.includes('/head ;'));
  t.is(client.text.match(/Connection: close/g)?.length, 1);
});

test('requests that come before their turn are answered in their order', async (t) => {
  const {client, seen} = await keeping(t);
  const one = (target: string) => `GET ${target} HTTP/1.1\r\nHost: h\r\n\r\n`;
  const chunked = 'PUT /body HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n';
  const counted = 'PUT /count HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\ny';
  client.write(`${one('/1')}${chunked}${one('/2')}${counted}${one('/3')}GET /4 HTTP/1.1\r\nHo`);
  client.write('st: h\r\n\r\n');
  await client.until('/4 ;');
  t.deepEqual(seen, ['/1', '/body', '/2', '/count', '/3', '/4']);
});

test('ten thousand requests in one piece are all answered', async (t) => {
  const {client, seen} = await keeping(t);
  client.write('GET /x HTTP/1.1\r\nHost: h\r\n\r\n'.repeat(9999));
  client.write('GET /end HTTP/1.1\r\nHost: h\r\n\r\n');
  await client.until('/end ;');
  t.is(seen.length, 10_000);
});

test('what follows a request that cannot be understood is not read', async (t) => {
  const {client, seen} = await keeping(t);
  client.write('GET /a HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n');
  await client.untilOver();
  t.is(client.status, 400);
  t.deepEqual(seen, []);
});

test('a kept connection that stays silent is closed without a word', async (t) => {
  const {client} = await keeping(t, {headTimeoutMs: 20});
  client.write('GET /a HTTP/1.1\r\nHost: h\r\n\r\n');
  await client.until('/a ;');
  await client.untilClosed();
  t.is(client.text.match(/HTTP\/1\.1/g)?.length, 1);
});

test('a server that closes ends idle connections at once, and busy ones with their answer', async (t) => {
  const asked = Promise.withResolvers<Exchange>();
  const server = await serveExchanges(
    {kind: 'tcp', host: '127.0.0.1', port: 0},
    {handle: asked.resolve, refuse: (error, respond) => answer(respond, error)},
  );
  const idle = await RawClient.connect(server.url);
  const busy = await RawClient.connect(server.url);
  busy.write('GET /a HTTP/1.1\r\nHost: h\r\n\r\n');
  const {respond} = await asked.promise;
  const closed = server.close({graceMs: 60_000});
  await idle.untilClosed();
  respond({status: 200, fields: [], lengthBytes: 0, keepsConnection: true}).end();
  await busy.untilClosed();
  await closed;
  t.is(busy.status, 200);
  t.is(busy.header('connection'), 'close');
});

test('a header that would break the head is not sent', async (t) => {
  const server = await serveExchanges(
    {kind: 'tcp', host: '127.0.0.1', port: 0},
    {
      handle({respond}) {
        for (const fields of [
          ['X', 'a\r\nSet-Cookie: b'],
          ['X\r\nY', 'a'],
          ['X', 'ű'],
        ])
          t.throws(() => respond({status: 200, fields, lengthBytes: 0}), {instanceOf: TypeError});
        respond({status: 200, fields: ['X', 'é'], lengthBytes: 0}).end();
      },
      refuse: (error, respond) => answer(respond, error),
    },
  );
  t.teardown(() => server.close({graceMs: 0}));
  const client = await RawClient.connect(server.url);
  client.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
  await client.untilOver();
  t.is(client.header('x'), 'é');
  t.is(client.header('set-cookie'), null);
});
