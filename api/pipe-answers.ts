import type {ByteSink, Frame} from '../runtime/platform/byte-flow.ts';
import type {Exchange} from '../runtime/platform/http-exchange.ts';
import type {AppError} from '../schemas/errors.ts';
import {corsFields} from './pipe-cors.ts';

type Field = readonly [name: string, value: string];

/** How the pipe kit answers; every answer may be read by any page. */
export interface PipeAnswers {
  /** A whole answer; of a HEAD request only its head. */
  whole(exchange: Exchange, body: string, fields: readonly Field[]): void;
  /** 204 */
  nothing(exchange: Exchange, fields?: readonly Field[]): void;
  /** 200 with a body that goes on until the sink is ended. */
  stream(exchange: Exchange, fields: readonly Field[], lengthBytes: number | null): ByteSink;
  /** `[ERROR] ...` as text. */
  error(
    respond: Exchange['respond'],
    error: AppError,
    request: Exchange['head'] | null,
    fields?: readonly Field[],
  ): void;
}

const plainText: Field = ['Content-Type', 'text/plain; charset=utf-8'];
const noSniffing: Field = ['X-Content-Type-Options', 'nosniff'];

/** `frameOf` wraps bytes for sinks. */
export function createPipeAnswers(frameOf: (bytes: Uint8Array) => Frame): PipeAnswers {
  function send(
    respond: Exchange['respond'],
    status: number,
    fields: readonly Field[],
    body: string,
    isHead: boolean,
  ): void {
    const bytes = Buffer.from(body);
    const sink = respond({status, fields: fields.flat(), lengthBytes: bytes.length});
    if (bytes.length > 0 && !isHead) sink.end(frameOf(bytes));
    else sink.end();
  }

  return {
    whole({head, respond}, body, fields) {
      send(respond, 200, [...corsFields(head.fields), noSniffing, ...fields], body, head.method === 'HEAD');
    },
    nothing({head, respond}, fields = []) {
      respond({status: 204, fields: [...corsFields(head.fields), ...fields].flat(), lengthBytes: 0}).end();
    },
    stream: ({head, respond}, fields, lengthBytes) =>
      respond({status: 200, fields: [...corsFields(head.fields), ...fields].flat(), lengthBytes}),
    error(respond, error, request, fields = []) {
      const all = [...corsFields(request?.fields ?? new Map()), plainText, noSniffing, ...fields];
      send(respond, error.status, all, `[ERROR] ${error.message}\n`, request?.method === 'HEAD');
    },
  };
}
