import {createServer as createPlainServer} from 'node:net';
import test, {type ExecutionContext} from 'ava';
import {createIncusClient} from '../../api/incus-client.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {openWebsocket} from '../../runtime/platform/websocket-stream.ts';
import {type KeyPair, makeCertificate} from '../helpers/certificates.ts';

const here = 'IP:127.0.0.1';
const authority = await makeCertificate({names: ['DNS:authority']});
const ours = await makeCertificate({names: ['DNS:client']});
const good = await makeCertificate({names: [here]});

/** Says that it trusts whoever comes with a certificate, and tells of one event. */
function serve(t: ExecutionContext, {certificate: cert, key}: KeyPair): string {
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    tls: {cert, key, requestCert: true, rejectUnauthorized: false},
    fetch(request, own) {
      const {pathname} = new URL(request.url);
      if (pathname === '/1.0/events' && own.upgrade(request)) return undefined;
      const metadata = pathname === '/1.0' ? {auth: 'trusted', environment: {server: 'incus'}} : [];
      return Response.json({type: 'sync', metadata});
    },
    websocket: {open: (socket) => void socket.send('{"type": "lifecycle"}'), message() {}},
  });
  t.teardown(() => server.stop(true));
  return `https://127.0.0.1:${server.port}`;
}

function clientOf(url: string, trusted: string | undefined) {
  const trust = {...ours, authority: trusted};
  return createIncusClient({at: {url, trust}, openWebsocket, clock: systemClock});
}

async function firstEvent(client: ReturnType<typeof clientOf>): Promise<string> {
  const over = new AbortController();
  for await (const _ of client.changes({signal: over.signal})) over.abort();
  return 'told';
}

const trusted: Record<string, {server: KeyPair; authority: string}> = {
  'its own certificate': {server: good, authority: good.certificate},
  'its own certificate, for another name': await pinned(['DNS:elsewhere']),
  'a certificate of the authority for this name': {
    server: await makeCertificate({names: [here], authority}),
    authority: authority.certificate,
  },
  'one of several certificates': {server: good, authority: `${authority.certificate}\n${good.certificate}`},
};

const expired = await makeCertificate({names: [here], days: -1});
const refused: Record<string, {server: KeyPair; authority: string | undefined; words: RegExp}> = {
  'that nobody vouches for': {
    server: good,
    authority: undefined,
    words: /not trusted: .*incus\.server_certificate.*fingerprint/,
  },
  'with another certificate': {
    server: good,
    authority: ours.certificate,
    words: /not trusted: .*incus\.server_certificate.*fingerprint/,
  },
  'whose certificate has expired': {
    server: expired,
    authority: expired.certificate,
    words: /not trusted: .*expired/,
  },
  'whose certificate is for another name': {
    server: await makeCertificate({names: ['DNS:elsewhere'], authority}),
    authority: authority.certificate,
    words: /not trusted: .*other names than that of `incus\.url`/,
  },
};

async function pinned(names: string[]) {
  const server = await makeCertificate({names});
  return {server, authority: server.certificate};
}

for (const [what, {server, authority: known}] of Object.entries(trusted)) {
  test(`a server is trusted by ${what}, for requests and websockets alike`, async (t) => {
    const client = clientOf(serve(t, server), known);
    t.like(await client.facts(), {kind: 'incus', isLocal: false});
    t.is(await firstEvent(client), 'told');
  });
}

for (const [what, {server, authority: known, words}] of Object.entries(refused)) {
  test(`a server ${what} is refused in words, and no request reaches it`, async (t) => {
    const client = clientOf(serve(t, server), known);
    const refusal = {code: 'PROVIDER_UNAVAILABLE', message: words};
    await t.throwsAsync(client.facts(), refusal);
    await t.throwsAsync(firstEvent(client), refusal);
  });
}

test('a server that is not there, and one that speaks no TLS, are told by their address', async (t) => {
  const plain = createPlainServer((socket) => {
    socket.on('error', () => {});
    socket.end('220 mail\r\n');
  });
  await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
  t.teardown(() => plain.close());
  const address = plain.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  for (const url of [`https://127.0.0.1:${port}`, 'https://127.0.0.1:1']) {
    const client = clientOf(url, good.certificate);
    const refusal = {code: 'PROVIDER_UNAVAILABLE', message: new RegExp(url.slice('https://'.length))};
    await t.throwsAsync(client.facts(), refusal);
    await t.throwsAsync(firstEvent(client), refusal);
  }
});
