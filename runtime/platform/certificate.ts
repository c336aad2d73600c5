import {createSecureContext} from 'node:tls';
import {AppError} from '../../schemas/errors.ts';
import type {Clock} from './clock.ts';
import {readTextIfPresent} from './durable-file.ts';
import type {HttpServer} from './http-exchange.ts';
import type {Log} from './log.ts';

/** Both as PEM. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

/** Paths of PEM files. The first may hold the chain too. */
export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

/** How often it is looked whether the files changed; who renews certificates does it days before they end. */
const defaultLookIntervalMs = 5_000;
/** Connections that go on with a former certificate may last. */
const longestGraceMs = 2 ** 31 - 1;

/**
 * Serves with the certificate of `files`, and with the new one when they change: `serve` listens anew, and what is
 * connected goes on with the former. Files that do not fit together are told of, and the former certificate stays.
 * Throws CONFIG_INVALID where they are wrong from the beginning.
 */
export async function serveWithCertificate({
  files,
  serve,
  clock,
  log,
  lookIntervalMs = defaultLookIntervalMs,
}: {
  files: CertificateFiles;
  /** Listens at `port`, or at the configured one where that is null. */
  serve: (certificate: Certificate, port: number | null) => Promise<HttpServer>;
  clock: Clock;
  log: Log;
  lookIntervalMs?: number;
}): Promise<HttpServer> {
  let inForce = await readCertificate(files);
  let server = await serve(inForce, null);
  const {url} = server;
  const port = Number(new URL(url).port);
  const former: HttpServer[] = [];
  const closed = new AbortController();
  let isListening = true;
  let refused = '';

  const look = async () => {
    const found = await readCertificate(files);
    if (isListening && found.key === inForce.key && found.certificate === inForce.certificate) return;
    if (isListening) {
      former.push(server);
      void server.close({graceMs: longestGraceMs});
      isListening = false;
    }
    server = await serve(found, port);
    isListening = true;
    inForce = found;
    refused = '';
    log.info('the certificate changed; new connections get it', {certificate: files.certificate});
  };
  const follow = async () => {
    for (;;) {
      await clock.sleep(lookIntervalMs, {signal: closed.signal});
      await look().catch((error: unknown) => {
        const problem = error instanceof Error ? error.message : String(error);
        if (problem !== refused) log.error('the certificate cannot be renewed', {problem});
        refused = problem;
      });
    }
  };
  const following = follow().catch((error: unknown) => {
    if (!closed.signal.aborted) throw error;
  });
  return {
    url,
    async close(options) {
      closed.abort();
      await following;
      await Promise.all([server, ...former].map((each) => each.close(options)));
    },
  };
}

async function readCertificate(files: CertificateFiles): Promise<Certificate> {
  const read = async (path: string) => {
    const text = await readTextIfPresent(path).catch((cause: unknown) => {
      throw wrong(`${path} cannot be read: ${cause instanceof Error ? cause.message : cause}`, cause);
    });
    if (text === null) throw wrong(`there is no file ${path}`);
    return text;
  };
  const [certificate, key] = [await read(files.certificate), await read(files.key)];
  try {
    createSecureContext({cert: certificate, key});
  } catch (cause) {
    throw wrong(`${files.certificate} and ${files.key} are no certificate with its key, as PEM`, cause);
  }
  return {certificate, key};
}

function wrong(problem: string, cause?: unknown): AppError {
  return new AppError('CONFIG_INVALID', `tls: ${problem}.`, {cause});
}
