import {connect} from 'node:net';

/** Keep-alive connections that each send the next request when the former is answered. */
export interface Load {
  readonly port: number;
  readonly target: string;
  readonly connections: number;
  readonly durationMs: number;
}

export interface LoadResult {
  /** From the write of a request to the last byte of its answer. */
  readonly latenciesMs: readonly number[];
  readonly requestsPerSecond: number;
}

/** Throws where an answer is not 200. */
export async function runLoad(load: Load): Promise<LoadResult> {
  const latenciesMs: number[] = [];
  const startMs = performance.now();
  const untilMs = startMs + load.durationMs;
  await Promise.all(Array.from({length: load.connections}, () => drive(load, untilMs, latenciesMs)));
  const seconds = (performance.now() - startMs) / 1000;
  return {latenciesMs, requestsPerSecond: latenciesMs.length / seconds};
}

function drive({port, target}: Load, untilMs: number, latenciesMs: number[]): Promise<void> {
  const request = `GET ${target} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let text = '';
    let sentMs = 0;
    const send = () => {
      sentMs = performance.now();
      socket.write(request);
    };
    socket.on('connect', send);
    socket.on('error', reject);
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      const end = answerEnd(text);
      if (end === null) return;
      if (!text.startsWith('HTTP/1.1 200')) {
        reject(new Error(`${target} answered ${text.slice(0, 200)}`));
        socket.destroy();
        return;
      }
      latenciesMs.push(performance.now() - sentMs);
      text = text.slice(end);
      if (performance.now() < untilMs) send();
      else {
        socket.end();
        resolve();
      }
    });
  });
}

/** Where the first answer of a text ends; null while it is not complete. Answers must say their length. */
function answerEnd(text: string): number | null {
  const headEnd = text.indexOf('\r\n\r\n');
  if (headEnd === -1) return null;
  const length = Number(/content-length: (\d+)/i.exec(text.slice(0, headEnd))?.[1] ?? 0);
  const end = headEnd + 4 + length;
  return text.length < end ? null : end;
}
