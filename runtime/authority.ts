import {dirname, join} from 'node:path';
import * as z from 'zod';
import {findBundle, usualBundles, withAuthority} from './platform/authority-bundle.ts';
import type {Certificate} from './platform/certificate.ts';
import type {Clock} from './platform/clock.ts';
import {isErrno, readTextIfPresent, writeFileDurably} from './platform/durable-file.ts';
import {chmod, existsSync, mkdir, writeFile} from './platform/files.ts';
import type {Log} from './platform/log.ts';

const dayMs = 86_400_000;
/** Longer than any container runs. */
const authorityMs = 30 * 365 * dayMs;
const certificateMs = 90 * dayMs;
/** A clock that is set back by less finds them valid. */
const slackMs = dayMs;
/** What is valid for less is made anew at the next connection. */
const renewalMs = 30 * dayMs;

const createFileSchema = () =>
  z.object({
    names: z.array(z.string()),
    fromMs: z.number(),
    untilMs: z.number(),
    certificate: z.string(),
    key: z.string(),
  });
type AuthorityFile = z.infer<ReturnType<typeof createFileSchema>>;
type Dated = Certificate & Pick<AuthorityFile, 'fromMs' | 'untilMs'>;

/** Signs for the container's own names and for no others, and nobody but this container trusts it. */
export interface Authority {
  /** For the server, made at the first call and again before it runs out. */
  certificateOf(): Promise<Certificate>;
  /** Lets the programs of this file system trust it. Returns the variables by which the others do. */
  trust(): Promise<Record<string, string>>;
}

/** Where a file system keeps what its programs trust. */
export interface TrustPlaces {
  /** Ours. */
  readonly directory: string;
  /** As of `findBundle`; the first is made where there is none. */
  readonly bundles: readonly [string, ...string[]];
  /** Directories of certificates that the tools of distributions put into bundles which they make anew. */
  readonly anchors: readonly string[];
}

const usualPlaces: TrustPlaces = {
  directory: '/etc/branchtab',
  bundles: usualBundles,
  anchors: ['/usr/local/share/ca-certificates'],
};

/** The authority that `store` keeps for exactly these names, or a new one. */
export async function openAuthority({
  store,
  names,
  clock,
  log,
  places = usualPlaces,
}: {
  readonly store: string;
  readonly names: readonly string[];
  readonly clock: Clock;
  readonly log: Log;
  readonly places?: TrustPlaces;
}): Promise<Authority> {
  const path = join(store, 'authority.json');
  // Its key is read again when it is needed.
  const {certificate} = (await read()) ?? (await make());
  let inForce: Dated | null = null;

  async function read(): Promise<AuthorityFile | null> {
    const text = await readTextIfPresent(path);
    const {success, data} = createFileSchema().safeParse(text === null ? null : parseJson(text));
    return success && data.names.join() === names.join() && isValid(data) ? data : null;
  }

  async function make(): Promise<AuthorityFile> {
    const {makeAuthority} = await import('./platform/x509.ts');
    const validity = validFor(authorityMs);
    const made = {...makeAuthority({names, ...validity}), ...validity, names: [...names]};
    await writeFileDurably(path, JSON.stringify(made));
    return made;
  }

  function validFor(durationMs: number) {
    const nowMs = clock.now();
    return {fromMs: nowMs - slackMs, untilMs: nowMs + durationMs};
  }

  function isValid({fromMs, untilMs}: {readonly fromMs: number; readonly untilMs: number}): boolean {
    const nowMs = clock.now();
    return fromMs <= nowMs && nowMs < untilMs - renewalMs;
  }

  return {
    async certificateOf() {
      if (inForce !== null && isValid(inForce)) return inForce;
      const authority = await read();
      // Programs trust the one of our start.
      if (authority?.certificate !== certificate) {
        log.error('the authority for HTTPS is gone; the next start of this container makes another', {path});
        throw new Error(`${path} does not hold the authority of this start`);
      }
      const {makeServerCertificate} = await import('./platform/x509.ts');
      const validity = validFor(certificateMs);
      inForce = {...makeServerCertificate(authority, {names, ...validity}), ...validity};
      return inForce;
    },
    trust: () => trust(certificate, {store, places}),
  };
}

async function trust(
  certificate: string,
  {store, places}: {readonly store: string; readonly places: TrustPlaces},
): Promise<Record<string, string>> {
  for (const directory of places.anchors)
    await attempt(() => publish(join(directory, 'branchtab.crt'), certificate));
  // Who may write nowhere else is an ordinary user, and the only one that jobs run as.
  const directory = (await attempt(() => publish(join(places.directory, authorityName), certificate)))
    ? places.directory
    : store;
  if (directory === store) await publish(join(store, authorityName), certificate);
  const bundle = (await findBundle(places.bundles)) ?? places.bundles[0];
  const former = (await readTextIfPresent(bundle)) ?? '';
  const combined = withAuthority(former, certificate);
  const isInPlace = combined === former || (await attempt(() => publish(bundle, combined)));
  const authorities = isInPlace ? bundle : join(directory, bundleName);
  if (!isInPlace) await publish(authorities, combined);
  return {
    SSL_CERT_FILE: authorities,
    REQUESTS_CA_BUNDLE: authorities,
    NODE_EXTRA_CA_CERTS: join(directory, authorityName),
    // Programs that have the path of the bundle built in.
    ...(isInPlace ? {} : {CURL_CA_BUNDLE: authorities, GIT_SSL_CAINFO: authorities}),
  };
}

const authorityName = 'authority.crt';
const bundleName = 'authorities.crt';

/** Readable for every user. In place, since a mounted file cannot be replaced. */
async function publish(path: string, text: string): Promise<void> {
  const isNew = !existsSync(path);
  const made = await mkdir(dirname(path), {recursive: true, mode: 0o755});
  await writeFile(path, text);
  if (made !== undefined) await chmod(dirname(path), 0o755);
  if (isNew) await chmod(path, 0o644);
}

/** False where this file system, or our user, does not allow it. */
async function attempt(work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (['EACCES', 'EPERM', 'EROFS'].some((code) => isErrno(error, code))) return false;
    throw error;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Whatever it is, it is no authority.
    return null;
  }
}
