import test from 'ava';
import {type Exchange, serveExchanges} from '../../../runtime/platform/http-exchange.ts';
import type {AppError} from '../../../schemas/errors.ts';
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
