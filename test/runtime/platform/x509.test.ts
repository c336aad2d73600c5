import {X509Certificate} from 'node:crypto';
import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {makeAuthority, makeServerCertificate} from '../../../runtime/platform/x509.ts';
import {makeCertificate} from '../../helpers/certificates.ts';

const names = ['exec.hoody.example', 'cron.hoody.example'];
const validity = {fromMs: Date.parse('2026-01-01T00:00:00Z'), untilMs: Date.parse('2056-02-03T04:05:06Z')};
const authority = makeAuthority({names, ...validity});

/** What `openssl verify` says of a certificate where only `authority` is trusted. */
async function verify(
  t: ExecutionContext,
  certificate: string,
  {name, between}: {readonly name?: string; readonly between?: string} = {},
): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'bt-x509-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  const files = {trusted: authority.certificate, between: between ?? '', certificate};
  for (const [file, text] of Object.entries(files)) await writeFile(join(directory, file), text);
  const words = ['-x509_strict', '-purpose', 'sslserver', '-no-CApath', '-CAfile', 'trusted'];
  if (name !== undefined) words.push('-verify_hostname', name);
  if (between !== undefined) words.push('-untrusted', 'between');
  const child = Bun.spawn(['openssl', 'verify', ...words, 'certificate'], {
    cwd: directory,
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const said = await Promise.all([child.stdout, child.stderr].map((stream) => new Response(stream).text()));
  return said.join('');
}

test('a certificate for its names is accepted for each of them, by the strictest rules', async (t) => {
  const {certificate} = makeServerCertificate(authority, {names, ...validity});
  for (const name of names) t.is(await verify(t, certificate, {name}), 'certificate: OK\n');
  t.regex(await verify(t, certificate, {name: 'pipe.hoody.example'}), /hostname mismatch/);
});

for (const {kind, names: wanted} of [
  {kind: 'a neighbour of its names', names: ['www.hoody.example']},
  {kind: 'the domain itself', names: ['hoody.example']},
  {kind: 'every name of the domain', names: ['*.hoody.example']},
  {kind: 'a foreign name beside its own', names: ['exec.hoody.example', 'example.com']},
  {kind: 'a foreign name that ends like its own', names: ['otherexec.hoody.example']},
]) {
  test(`a certificate that it signs for ${kind} is refused`, async (t) => {
    const {certificate} = makeServerCertificate(authority, {names: wanted, ...validity});
    t.regex(await verify(t, certificate), /permitted subtree violation/);
  });
}

test('a certificate that it signs for an address is refused', async (t) => {
  for (const address of ['IP:127.0.0.1', 'IP:192.0.2.1', 'IP:::1']) {
    const {certificate} = await makeCertificate({names: [address], authority});
    t.regex(await verify(t, certificate), /excluded subtree violation/);
  }
});

test('an authority below it is refused, also for its own names', async (t) => {
  const below = await makeCertificate({names: ['DNS:exec.hoody.example'], authority, isAuthority: true});
  const {certificate} = await makeCertificate({names: ['DNS:exec.hoody.example'], authority: below});
  t.regex(await verify(t, certificate, {between: below.certificate}), /path length constraint exceeded/);
});

test('instants before and after 2050 are written as the standard wants', (t) => {
  const early = {fromMs: Date.parse('2049-12-31T23:59:59Z'), untilMs: Date.parse('2050-01-01T00:00:00Z')};
  const {validFrom, validTo} = new X509Certificate(makeAuthority({names, ...early}).certificate);
  t.is(validFrom, 'Dec 31 23:59:59 2049 GMT');
  t.is(validTo, 'Jan  1 00:00:00 2050 GMT');
});

test('no two have the same key or serial number', (t) => {
  const made = Array.from({length: 50}, () => makeServerCertificate(authority, {names, ...validity}));
  const serials = made.map(({certificate}) => new X509Certificate(certificate).serialNumber);
  t.is(new Set(serials).size, made.length);
  t.true(serials.every((serial) => serial.length === 32));
  t.is(new Set(made.map(({key}) => key)).size, made.length);
});
