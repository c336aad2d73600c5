import {spawn} from 'node:child_process';
import {createServer, type IncomingMessage} from 'node:http';
import type {GitWorld, Teardown} from './git-world.ts';

export interface GitHttpOptions {
  /** `Basic ...`: whoever sends another one, or none, is refused. */
  readonly authorization?: string;
  /** Called while the git that asks waits for its answer. */
  readonly onRequest?: (request: IncomingMessage) => Promise<void>;
  /** After so many bytes of an answer the connection ends; null for the whole answer. */
  readonly cutAfterBytes?: () => number | null;
}

/** Serves the world's directory over HTTP by git's own CGI program; resolves to the URL of its repository. */
export async function serveOverHttp(
  t: Teardown,
  world: GitWorld,
  {authorization, onRequest, cutAfterBytes = () => null}: GitHttpOptions = {},
): Promise<string> {
  const server = createServer(async (request, response) => {
    await onRequest?.(request);
    if (authorization !== undefined && request.headers.authorization !== authorization) {
      response.writeHead(401, {'WWW-Authenticate': 'Basic realm="git"'}).end();
      return;
    }
    const url = new URL(request.url ?? '/', 'http://localhost');
    const backend = spawn('git', ['http-backend'], {
      env: {
        ...world.environment,
        GIT_PROJECT_ROOT: world.directory,
        GIT_HTTP_EXPORT_ALL: '1',
        GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
        PATH_INFO: url.pathname,
        QUERY_STRING: url.search.slice(1),
        REQUEST_METHOD: request.method ?? 'GET',
        CONTENT_TYPE: request.headers['content-type'] ?? '',
        HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
      },
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const chunks: Uint8Array[] = [];
    backend.stdin.on('error', () => {});
    request.pipe(backend.stdin);
    backend.stdout.on('data', (chunk: Uint8Array) => chunks.push(chunk));
    backend.on('close', () => {
      const output = Buffer.concat(chunks);
      const end = output.indexOf('\r\n\r\n');
      const headers = output
        .toString('latin1', 0, end)
        .split('\r\n')
        .map((line) => line.split(': ', 2));
      const status = Number(headers.find(([name]) => name === 'Status')?.[1]?.slice(0, 3) ?? 200);
      response.writeHead(status, Object.fromEntries(headers.filter(([name]) => name !== 'Status')));
      const body = output.subarray(end + 4);
      const mostBytes = cutAfterBytes();
      if (mostBytes === null || body.length <= mostBytes) response.end(body);
      else response.write(body.subarray(0, mostBytes), () => response.destroy());
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return `http://127.0.0.1:${address.port}${world.path.slice(world.directory.length)}`;
}
