import type {IncomingMessage, ServerResponse} from 'node:http';
import type {ScriptCall} from '../runtime/exec/calls.ts';
import type {AnswerSink} from '../runtime/exec/invoke.ts';
import type {ExecService} from '../runtime/exec/service.ts';
import type {Log} from '../runtime/platform/log.ts';
import type {Peer} from '../runtime/platform/peer-process.ts';
import type {UpgradeSocket} from '../runtime/platform/upgrade-socket.ts';
import {KIT_HEADER} from '../schemas/control.ts';
import {AppError} from '../schemas/errors.ts';
import {asAppError, errorResponse} from './errors.ts';
import {refuseForeign, refuseMisdirected} from './host-guard.ts';
import {selectKit} from './kit-selection.ts';
import {peerOf} from './peer-guard.ts';

export interface CallFrontOptions {
  readonly exec: Pick<ExecService, 'calls' | 'websockets'>;
  /** True on the controller's socket: no Host check, and the kit header is believed. */
  readonly trusted: boolean;
  readonly allowedHosts: readonly string[];
  /** The run of a job whose process holds the other end of the connection. */
  readonly findRun: (peer: Peer) => string | null;
  readonly log: Log;
}

export interface CallFront {
  /** True where it answers. */
  intercept(incoming: IncomingMessage, outgoing: ServerResponse): boolean;
  upgrade(incoming: IncomingMessage, socket: UpgradeSocket): void;
}

/**
 * Answers calls of scripts from Node's request to Node's response: by far most requests are calls, and the way
 * over the web's `Request` and `Response` costs more than the call.
 */
export function createCallFront(options: CallFrontOptions): CallFront {
  const {exec, trusted, allowedHosts, log} = options;

  /** Null for a request that is no call. Throws MISDIRECTED_HOST. */
  function callOf(incoming: IncomingMessage): ScriptCall | null {
    const target = incoming.url ?? '/';
    // Other forms of the target are told apart by the routes behind us.
    if (!target.startsWith('/')) return null;
    const path = target.split('?', 1)[0] ?? '/';
    const host = incoming.headers.host ?? '';
    const kitHeader = trusted ? headerOf(incoming, KIT_HEADER) : null;
    const selection = selectKit({host, kitHeader, path});
    if (selection.part !== 'exec' || selection.prefixed) return null;
    if (!trusted) refuseMisdirected(host, allowedHosts);
    const {socket} = incoming;
    const forwardedFor = kitHeader === null ? null : headerOf(incoming, 'x-forwarded-for');
    const request = {
      method: incoming.method ?? 'GET',
      headers: incoming.rawHeaders,
      body: hasBody(incoming) ? incoming : null,
    };
    return {
      request,
      path,
      target,
      clientIp: forwardedFor ?? socket.remoteAddress ?? '',
      findRun: () => options.findRun(peerOf(socket)),
    };
  }

  return {
    intercept(incoming, outgoing) {
      try {
        const call = callOf(incoming);
        if (call === null) return false;
        void exec.calls.answer(call, sinkOf(outgoing));
      } catch (error) {
        void sendResponse(outgoing, errorResponse(error, log));
      }
      return true;
    },
    upgrade(incoming, socket) {
      try {
        const call = callOf(incoming);
        if (call === null) throw new AppError('NOT_FOUND', 'No websocket is taken here.');
        // The gateway has decided already, and it alone reaches the controller's socket.
        if (!trusted) refuseForeign(new Headers(pairsOf(incoming)));
        void exec.websockets.connect(call, {...socket, answer: () => sinkOf(socket.plainly())});
      } catch (error) {
        socket.refuse(asAppError(error));
      }
    },
  };
}

function pairsOf({headers: {origin, host, 'sec-fetch-site': site}}: IncomingMessage): [string, string][] {
  return Object.entries({origin, host, 'sec-fetch-site': site}).flatMap(([name, value]) =>
    typeof value === 'string' ? [[name, value]] : [],
  );
}

function headerOf({headers}: IncomingMessage, name: string): string | null {
  const value = headers[name];
  return typeof value === 'string' ? value : null;
}

function hasBody({headers}: IncomingMessage): boolean {
  const length = headers['content-length'];
  return headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0');
}

function sinkOf(outgoing: ServerResponse): AnswerSink {
  let whenRoom = () => {};
  return {
    head: (status, headers) => void outgoing.writeHead(status, [...headers]),
    write(chunk) {
      if (outgoing.write(chunk)) return true;
      outgoing.once('drain', whenRoom);
      return false;
    },
    end: (last) => void outgoing.end(last),
    destroy: () => void outgoing.destroy(),
    onDrain(listener) {
      whenRoom = listener;
    },
    onLeave(listener) {
      outgoing.once('close', () => {
        if (!outgoing.writableFinished) listener();
      });
    },
  };
}

async function sendResponse(outgoing: ServerResponse, response: Response): Promise<void> {
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  outgoing.end(await response.text());
}
