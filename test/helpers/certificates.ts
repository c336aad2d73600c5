import {X509Certificate} from 'node:crypto';
import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {Teardown} from './git-world.ts';

/** PEM, or where it stands. */
export interface KeyPair {
  readonly certificate: string;
  readonly key: string;
}

/** A certificate that it signed itself, or `authority` did, for `names` such as `IP:127.0.0.1`. */
export async function makeCertificate({
  names,
  subject = 'branchtab test',
  days = 2,
  authority,
  isAuthority = authority === undefined,
}: {
  readonly names: readonly string[];
  readonly subject?: string;
  /** Of validity from now on; a negative number for one that is over. */
  readonly days?: number;
  readonly authority?: KeyPair;
  /** Whether it may sign others; one that signed itself is to. */
  readonly isAuthority?: boolean;
}): Promise<KeyPair> {
  const directory = await mkdtemp(join(tmpdir(), 'bt-cert-'));
  const at = (name: string) => join(directory, name);
  try {
    await openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', at('key'));
    await openssl('req', '-new', '-key', at('key'), '-subj', `/CN=${subject}`, '-out', at('request'));
    const constraints = isAuthority ? 'basicConstraints=CA:TRUE\n' : '';
    await writeFile(at('names'), `subjectAltName=${names.join(',')}\n${constraints}`);
    if (authority !== undefined) {
      await writeFile(at('authority'), authority.certificate);
      await writeFile(at('authority-key'), authority.key);
    }
    const signer =
      authority === undefined
        ? ['-signkey', at('key')]
        : ['-CA', at('authority'), '-CAkey', at('authority-key'), '-CAcreateserial'];
    const validity = ['-days', `${days}`, '-extfile', at('names'), '-out', at('certificate')];
    await openssl('x509', '-req', '-in', at('request'), ...signer, ...validity);
    return {
      certificate: await readFile(at('certificate'), 'utf8'),
      key: await readFile(at('key'), 'utf8'),
    };
  } finally {
    await rm(directory, {recursive: true, force: true});
  }
}

/** Paths of a certificate that it signed itself, for a name such as `*.example.org`, and of its key. */
export async function certificateFiles(t: Teardown, name: string): Promise<KeyPair> {
  const directory = await mkdtemp(join(tmpdir(), 'branchtab-tls-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  const files = {certificate: join(directory, 'cert.pem'), key: join(directory, 'key.pem')};
  const made = await makeCertificate({names: [`DNS:${name}`], subject: name});
  await writeFile(files.certificate, made.certificate);
  await writeFile(files.key, made.key);
  return files;
}

/** As the API of Incus takes one. */
export function derOf(certificate: string): string {
  return new X509Certificate(certificate).raw.toString('base64');
}

async function openssl(...words: string[]): Promise<void> {
  const child = Bun.spawn(['openssl', ...words], {stdout: 'ignore', stderr: 'pipe'});
  const said = await new Response(child.stderr).text();
  if ((await child.exited) !== 0) throw new Error(`openssl ${words[0]}: ${said}`);
}
