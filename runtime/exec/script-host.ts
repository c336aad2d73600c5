import {errorCatalogue} from '../../schemas/errors.ts';
import {type IncomingMessage, type ServerResponse, serveCalls} from '../platform/call-server.ts';
import {systemClock} from '../platform/clock.ts';
import {releaseMemory} from '../platform/memory.ts';
import {connectParent, forbidProcessWideCalls, surviveStrayErrors} from '../platform/parent-process.ts';
import {openSlots} from '../platform/shared-slots.ts';
import {addToEveryDatabase} from '../platform/sqlite-functions.ts';
import {type Call, callHeader, failureHeader} from './call.ts';
import {type CallContext, createCurrentCall, metadataOf} from './call-context.ts';
import {createCallOutput} from './call-output.ts';
import {dateTrunc} from './date-trunc.ts';
import {createFreshGlobals} from './fresh-globals.ts';
import type {HostMessage} from './host-messages.ts';
import {createHostRest} from './host-rest.ts';
import {receiveCall, reportFailure, type ScriptHost} from './hosted-call.ts';
import {runCall} from './run-script.ts';
import {runsOn, sendAnswer} from './script-answer.ts';
import {createScriptConsole} from './script-console.ts';
import {createScriptEnvironment} from './script-environment.ts';
import {createScriptLoader} from './script-loader.ts';
import {defineScriptNames} from './script-names.ts';
import {isRequestBodyError, readBody, withShortcuts} from './script-request.ts';
import {sharedStateHeader} from './shared-state-header.ts';

/** What was compiled to start, and for calls that do not come again, is given back after so long without one. */
const quietMs = 10_000;

/**
 * Runs the scripts of one deployment for the runtime that started us. Arguments: the path that our sockets begin
 * with, the scripts directory. Ends when the runtime ends.
 */
export async function scriptHostMain([socketPath, directory]: readonly string[]): Promise<void> {
  if (socketPath === undefined || directory === undefined)
    throw new Error('usage: script-host <socket> <scripts directory>');
  const parent = connectParent((message) => {
    const ping = pingOf(message);
    if (ping !== null) send({type: 'pong', ping});
    else void openSockets();
  });
  const send = (message: HostMessage) => parent.send(message);
  const current = createCurrentCall();
  globalThis.console = createScriptConsole(current);
  surviveStrayErrors((error) => console.error('A script left an error behind:', error));
  forbidProcessWideCalls();
  addToEveryDatabase({name: 'date_trunc', call: (unit, time) => dateTrunc(unit, time), busyTimeoutMs: 5000});
  const environment = createScriptEnvironment(directory, current);
  defineScriptNames(current);
  const host: ScriptHost = {
    directory,
    loader: createScriptLoader(directory),
    environment,
    globals: createFreshGlobals(current),
    slots: openSlots(`${socketPath}.slots`),
    current,
    shared: {},
    send,
  };
  const noteCall = createHostRest({clock: systemClock, quietMs, act: releaseMemory});
  noteCall();
  await serveCalls(socketPath, (request, response) => {
    noteCall();
    void answer(host, request, response);
  });
  const openSockets = async () => {
    const {serveScriptSockets} = await import('./script-sockets.ts');
    serveScriptSockets(`${socketPath}.ws`, host);
    send({type: 'sockets_ready'});
  };
  send({type: 'ready'});
}

async function answer(host: ScriptHost, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.headers[callHeader] === undefined && request.headers[sharedStateHeader] !== undefined) {
    await tellSharedState(host, request, response);
    return;
  }
  const call = receiveCall(host, request.headers[callHeader]);
  if (call === null) {
    response.destroy();
    return;
  }
  delete request.headers[callHeader];
  request.url = call.target;
  const output = createCallOutput(call.executionId, host.send);
  response.once('close', output.flush);
  let isRunning = true;
  const end = () => {
    if (isRunning) host.slots.end(call.slot);
    isRunning = false;
  };
  try {
    if (!call.rawBody) Object.assign(request, await readBody(request));
    const environment = await host.environment.read(call.environmentFiles);
    const metadata = metadataOf(call, request.method ?? 'GET');
    const names = {req: request, res: withShortcuts(response), metadata, shared: host.shared};
    const context: CallContext = {call, names, output, environment};
    await host.current.run(context, async () => {
      const value = await runCall({host, call, names, request, response});
      output.flush();
      // The runtime may give the slot to another call as soon as it has the whole answer.
      if (!runsOn(value)) end();
      await sendAnswer(response, value);
    });
  } catch (error) {
    output.flush();
    end();
    fail(host, call, response, error);
  } finally {
    end();
  }
}

async function tellSharedState(
  {shared}: ScriptHost,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const {answerSharedState} = await import('./shared-state.ts');
    await answerSharedState(shared, request, response);
  } catch {
    // Only a script that speaks to the socket itself asks what cannot be read.
    response.destroy();
  }
}

function fail(host: ScriptHost, call: Call, response: ServerResponse, error: unknown): void {
  const {stack, message, ...at} = reportFailure(host, call, error);
  if (response.headersSent) {
    // Half an answer is out; a cut connection is the only honest end.
    response.destroy();
    return;
  }
  const isCallersFault = isRequestBodyError(error);
  const code = isCallersFault ? 'INVALID_BODY' : 'SCRIPT_FAILED';
  for (const name of response.getHeaderNames()) response.removeHeader(name);
  response.writeHead(errorCatalogue[code].status, {
    'content-type': 'application/json',
    [failureHeader]: code,
  });
  response.end(JSON.stringify({code, message: isCallersFault ? error.message : message, details: at}));
}

function pingOf(message: unknown): number | null {
  const isPing = typeof message === 'object' && message !== null && 'ping' in message;
  return isPing && typeof message.ping === 'number' ? message.ping : null;
}
