/** The other end of `startChild`: how a supervised child talks to the process that started it. */
export interface Parent {
  send(message: unknown): void;
  /** Ends this process, whatever scripts have done to `process`. */
  giveUp(): void;
}

/**
 * Calls `onMessage` for each message; when the parent dies, however it dies, this process exits at once.
 * The way to the parent is then taken off `process`, so that code loaded later cannot speak for us.
 */
export function connectParent(onMessage: (message: unknown) => void): Parent {
  const send = process.send?.bind(process);
  if (send === undefined) throw new Error('The script host is started by the runtime, not by hand.');
  process.on('message', onMessage);
  // Taken now: `forbidProcessWideCalls` replaces it for everybody else.
  const exit = process.exit.bind(process);
  process.on('disconnect', () => exit(0));
  // To delete it would make the engine create all the properties of `process`, streams among them.
  Reflect.set(process, 'send', undefined);
  return {send: (message) => void send(message), giveUp: () => void exit(1)};
}

/** Keeps the process alive when loaded code throws in a timer or leaves a rejection behind. */
export function surviveStrayErrors(report: (error: unknown) => void): void {
  process.on('uncaughtException', report);
  process.on('unhandledRejection', report);
}

/** From here on `process.exit` and `process.chdir` throw: one process serves many scripts. */
export function forbidProcessWideCalls(): void {
  const forbid = (name: string) => (): never => {
    throw new Error(`process.${name}() is not available in scripts: return an answer instead.`);
  };
  Object.assign(process, {exit: forbid('exit'), chdir: forbid('chdir')});
}
