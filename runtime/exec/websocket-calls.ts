import {randomUUID} from 'node:crypto';
import {AppError, successStatus} from '../../schemas/errors.ts';
import type {ClientWebsocket} from '../platform/websocket-client.ts';
import {type SeenAnswer, WatchedSink} from './answer-sink.ts';
import {type Call, callHeader, encodeCall, executionHeader} from './call.ts';
import {endOf, keptBodyBytes, recordedHeaders} from './call-record.ts';
import {asAppError, type CallsOptions, refuseWithoutToken, type ScriptCall} from './calls.ts';
import type {HostLease} from './host-pool.ts';
import {type AnswerSink, type Attempt, Invocation, passedOn} from './invoke.ts';
import {type PreparedCall, prepareCall, refuseUnparsable} from './prepared-call.ts';
import {maskToken} from './script-token.ts';

/** A client that asks for a websocket. */
export interface WebsocketClient extends ClientWebsocket {
  /** For an answer as to a plain request, instead of the websocket. */
  answer(): AnswerSink;
}

export interface WebsocketCalls {
  /** Connections that are open now. */
  openCount(): number;
  /** Connects a client with the websocket script of its path. Never rejects. */
  connect(call: ScriptCall, client: WebsocketClient): Promise<void>;
  /** The host has closed the websocket of this execution. */
  closed(executionId: string): void;
}

/** What scripts are told of the method while a websocket is opened. */
const openingMethod = 'WEBSOCKET_INIT';
/** The public one for a websocket script without `@mode worker`. */
const noWorkerCode = 4400;
const mostAttempts = 5;
const noAnswer: SeenAnswer = {status: null, bytes: 0, body: ''};

/** A websocket script is called once for each connection; the record ends with the connection. */
export function createWebsocketCalls({recorder, destinationOf, log}: CallsOptions): WebsocketCalls {
  const closings = new Map<string, () => void>();
  let open = 0;

  async function lease(prepared: PreparedCall, invocation: Invocation | null): Promise<HostLease> {
    const {ground: here, script, destination} = prepared;
    // A lease of a former generation would bring it back.
    if (destination.ground()?.generation !== here.generation) {
      const message = 'The scripts were replaced while the connection was made. Connect again.';
      throw new AppError('SCRIPT_HOST_FAILED', message);
    }
    return here.pool.lease({
      generation: here.generation,
      start: here.start,
      file: script.ref.file,
      timeoutMs: script.options.timeoutMs,
      isLasting: invocation === null,
      isolated: script.options.isolated,
      waiter: invocation,
    });
  }

  /** Asks the directory's `pre`. What it answers is the client's answer; null where it lets the client in. */
  async function ask(prepared: PreparedCall, id: string, call: ScriptCall, client: WebsocketClient) {
    const {pre, script} = prepared;
    if (pre === null || !script.options.websocketPre) return null;
    const gate = createGate(client);
    const sink = new WatchedSink(gate, {
      added: [executionHeader, id],
      keptBytes: keptBodyBytes(script.options.log),
    });
    for (let count = 1; count <= mostAttempts; count += 1) {
      const invocation = new Invocation({
        call: {...hostCall(prepared, id, call.clientIp), slot: 0, script: pre.ref},
        request: {method: call.request.method, headers: passedOn(call.request.headers)},
        body: null,
        sink,
      });
      const outcome = await invocation.run(await lease(prepared, invocation));
      if (outcome === 'withdrawn') continue;
      return outcome === 'answered' && gate.isOpen() ? null : {outcome, seen: sink.seen()};
    }
    throw new AppError(
      'SCRIPT_HOST_FAILED',
      `No script host could begin with ${pre.ref.file}. Connect again in a moment.`,
    );
  }

  /** Resolves when nothing of the connection is left. */
  async function hold(
    prepared: PreparedCall,
    id: string,
    call: ScriptCall,
    client: WebsocketClient,
  ): Promise<Attempt> {
    const leased = await lease(prepared, null);
    const {host} = leased;
    const {slot} = leased.call;
    const closed = new Promise<Attempt>((resolve) => closings.set(id, () => resolve('answered')));
    try {
      const path = await host.openSockets();
      leased.answering();
      await client.join(path, upgradeHead(call, {...hostCall(prepared, id, call.clientIp), slot}));
      if (slot !== 0 && host.slots.withdraw(slot)) return 'left';
      if (slot === 0) return 'answered';
      return await Promise.race([closed, host.ended.then((): Attempt => 'broken_off')]);
    } finally {
      closings.delete(id);
      leased.release();
    }
  }

  async function connect(prepared: PreparedCall, call: ScriptCall, client: WebsocketClient): Promise<void> {
    const {script, route, ground: here} = prepared;
    const {options} = script;
    refuseUnparsable(prepared);
    refuseWithoutToken(prepared, call);
    if (!options.websocket) {
      const message = `${route.file} takes no websockets. Write \`// @websocket\` and \`// @mode worker\` above its code.`;
      throw new AppError('SCRIPT_NOT_UPGRADABLE', message);
    }
    if (options.mode !== 'worker') {
      client.close(noWorkerCode, 'A websocket script needs `// @mode worker` above its code.');
      return;
    }
    const id = randomUUID();
    recorder.begin(
      {
        id,
        script: route.file,
        method: 'WEBSOCKET',
        url: maskToken(call.target),
        client_ip: call.clientIp,
        commit: here.commit,
        deployment: here.set.deployment.digest,
        run_id: null,
        warnings: script.compiled.warnings,
        request_headers: recordedHeaders(call.request.headers, options.log),
      },
      options.log,
      here.mask,
    );
    open += 1;
    let end = endOf('answered', noAnswer, options.log, null);
    try {
      const refusal = await ask(prepared, id, call, client);
      const {outcome, seen} = refusal ?? {
        outcome: await hold(prepared, id, call, client),
        seen: noAnswer,
      };
      end = endOf(outcome, seen, options.log, null);
      const hasFailed = recorder.recent(id)?.error != null;
      if (end.status === 'succeeded' && hasFailed) end = {...end, status: 'failed'};
    } catch (error) {
      const known = asAppError(error, log);
      end = endOf(known, {...noAnswer, status: known.status}, options.log, null);
      throw known;
    } finally {
      open -= 1;
      recorder.end(id, end);
    }
  }

  return {
    openCount: () => open,
    async connect(call, client) {
      try {
        await connect(await prepareCall(await destinationOf(call)), call, client);
      } catch (error) {
        client.refuse(asAppError(error, log));
      }
    },
    closed: (id) => closings.get(id)?.(),
  };
}

/** Passes an answer on to the client, but for an empty one, which lets the client in. */
function createGate(client: WebsocketClient): AnswerSink & {isOpen(): boolean} {
  const drains: (() => void)[] = [];
  let isOpen = false;
  let answer: AnswerSink | null = null;
  return {
    isOpen: () => isOpen,
    head(status, headers) {
      isOpen = status === successStatus.noContent;
      if (isOpen) return;
      answer = client.answer();
      for (const listener of drains) answer.onDrain(listener);
      answer.head(status, headers);
    },
    write: (chunk) => answer?.write(chunk) ?? true,
    end: (last) => answer?.end(last),
    destroy: () => answer?.destroy(),
    onDrain: (listener) => drains.push(listener),
    onLeave: client.onLeave,
  };
}

function hostCall({script, route, ground, destination}: PreparedCall, id: string, clientIp: string) {
  return {
    executionId: id,
    script: script.ref,
    pre: null,
    post: null,
    parameters: route.parameters,
    target: destination.target,
    clientIp,
    method: openingMethod,
    rawBody: false,
    awaitsPromises: true,
    environmentFiles: ground.set.neighbours(route.file).environmentFiles,
  };
}

/** The client's own request, with the call instead of what it may have said about one. */
function upgradeHead({request: {headers}}: ScriptCall, call: Call): string {
  let head = `GET / HTTP/1.1\r\n${callHeader}: ${encodeCall(call)}\r\n`;
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const name = headers[at] ?? '';
    if (name.toLowerCase() !== callHeader) head += `${name}: ${headers[at + 1]}\r\n`;
  }
  return `${head}\r\n`;
}
