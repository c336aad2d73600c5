import {dirname, join} from 'node:path';
import * as z from 'zod';
import {addToBundle, findBundle, usualBundles} from './authority-bundle.ts';
import type {Certificate} from './certificate.ts';
import type {Clock} from './clock.ts';
import {kindOf} from './directories.ts';
import {isErrno, readTextIfPresent, writeFileDurably} from './durable-file.ts';
import {chmod, copyFile, existsSync, mkdir, rm, writeFile} from './files.ts';
import type {Log} from './log.ts';
import {removeTree} from './tree-removal.ts';

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

/** Makes the authority that `store` keeps from now on. */
export async function makeAuthorityFile({
  store,
  names,
  clock,
}: {
  readonly store: string;
  readonly names: readonly string[];
  readonly clock: Clock;
}): Promise<AuthorityFile> {
  const {makeAuthority} = await import('./x509.ts');
  const validity = validFor(authorityMs, clock);
  const file = {...makeAuthority({names, ...validity}), ...validity, names: [...names]};
  const path = authorityPath(store);
  if ((await kindOf(path)) === 'directory') await removeTree(path);
  await writeFileDurably(path, JSON.stringify(file));
  return file;
}

export function authorityPath(store: string): string {
  return join(store, 'authority.json');
}

function validFor(durationMs: number, clock: Clock) {
  const nowMs = clock.now();
  return {fromMs: nowMs - slackMs, untilMs: nowMs + durationMs};
}

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
  const path = authorityPath(store);
  // Its key is read again when it is needed.
  const {certificate} = (await read()) ?? (await makeAuthorityFile({store, names, clock}));
  let inForce: Dated | null = null;

  async function read(): Promise<AuthorityFile | null> {
    // Jobs of root can put anything in its place; waiting for what a pipe holds would keep the container from starting.
    const text = (await kindOf(path)) === 'file' ? await readTextIfPresent(path) : null;
    const {success, data} = createFileSchema().safeParse(text === null ? null : parseJson(text));
    return success && data.names.join() === names.join() && isValid(data) ? data : null;
  }

  function isValid({fromMs, untilMs}: {readonly fromMs: number; readonly untilMs: number}): boolean {
    const nowMs = clock.now();
    return fromMs <= nowMs && nowMs < untilMs - renewalMs;
  }

  async function sign(authority: AuthorityFile | null): Promise<Dated> {
    if (authority?.certificate !== certificate)
      throw new Error('programs trust another one, that of the start');
    const {makeServerCertificate} = await import('./x509.ts');
    const validity = validFor(certificateMs, clock);
    return {...makeServerCertificate(authority, {names, ...validity}), ...validity};
  }

  return {
    async certificateOf() {
      if (inForce !== null && isValid(inForce)) return inForce;
      try {
        inForce = await sign(await read());
        return inForce;
      } catch (error) {
        log.error(
          'the authority for HTTPS is gone or of no use; the next start of this container makes another',
          {
            path,
            error,
          },
        );
        await rm(path, {recursive: true, force: true});
        throw error;
      }
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
  const isOurs = await attempt(() => publish(join(places.directory, authorityName), certificate));
  const directory = isOurs ? places.directory : store;
  if (!isOurs) await publish(join(store, authorityName), certificate);
  const found = await findBundle(places.bundles);
  const bundle = found ?? places.bundles[0];
  const isInPlace = await attempt(async () => {
    if (found === null) await publish(bundle, '');
    await addToBundle(bundle, certificate);
  });
  const authorities = isInPlace ? bundle : join(directory, bundleName);
  if (!isInPlace) {
    await (found === null ? publish(authorities, '') : copyFile(found, authorities));
    await addToBundle(authorities, certificate);
  }
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
