// The types need no DOM library: where the platform's own are there (DOM, or Node's),
// events and event targets are these.

type Global = typeof globalThis;
type PlatformEvent = Global extends { Event: { prototype: infer E extends object } } ? E : { readonly type: string };
type ListenerOptions = boolean | { once?: boolean; passive?: boolean; capture?: boolean; signal?: any };

/** The part of an AbortSignal that is used. */
export interface Signal {
  readonly aborted: boolean;
  readonly reason?: any;
  addEventListener(type: "abort", listener: (event: any) => void, options?: any): void;
  removeEventListener(type: "abort", listener: (event: any) => void): void;
}

/** An EventTarget, whose events are named. */
declare class Target<Events> {
  addEventListener<K extends keyof Events>(type: K, listener: (event: Events[K]) => void, options?: ListenerOptions): void;
  addEventListener(type: string, listener: ((event: any) => void) | { handleEvent(event: any): void } | null, options?: ListenerOptions): void;
  removeEventListener(type: string, listener: ((event: any) => void) | { handleEvent(event: any): void } | null, options?: ListenerOptions): void;
  dispatchEvent(event: any): boolean;
}

/** What the server reported (RFC 9457). */
export interface Problem {
  type?: string;
  title: string;
  /** The HTTP status. */
  status?: number;
  detail?: string;
  [field: string]: unknown;
}

/** A problem that the server reported, or one of the client itself. */
export class BinderyError extends Error {
  constructor(problem: Problem);
  readonly type: string;
  readonly title: string;
  /** The HTTP status, 0 where there is none. */
  readonly status: number;
  readonly detail: string;
  readonly problem: Problem;
}

/** A value of a parameter. */
export type Param = string | number | bigint | boolean;

/**
 * Parameters of a member of a family: lists for those that may have several values.
 * What is null or undefined is not given.
 */
export type Params = Readonly<Record<string, Param | readonly Param[] | null | undefined>>;

/** A value of a key, the values of a key of several columns, or an object that has them. */
export type Key<T> = string | number | boolean | readonly unknown[] | Partial<T>;

/** The messages of the protocol. */
export interface Message<T = any> {
  event: string;
  action: "sync" | "create" | "update" | "delete" | "page" | "leave" | "mark" | "error";
  /** Rows; keys of deleted rows; "ok" of a sync that found nothing new; the problem of an error. */
  payload?: T[] | Partial<T>[] | "ok" | Problem;
  params?: Params;
  page?: number;
  pages?: number;
  /** The columns of the order, a leading "-" for descending. */
  order?: string[];
  version?: string;
  last_modified?: string;
  more?: boolean;
  /** The mark whose place in the stream this is. */
  mark?: string;
}

type Awaitable<T> = T | PromiseLike<T>;
type HeaderList = Record<string, string> | Iterable<readonly [string, string]>;

/** Options of {@link connect}. Times are in milliseconds. */
export interface ClientOptions {
  /** Use this transport alone. "poll" is for bindings behind a shared cache: it asks the REST endpoints for what has changed. */
  transport?: "websocket" | "sse" | "poll";
  /** How many seconds the server may hold a poll, 0 for none. 20 */
  pollWait?: number;
  /** How long to wait between polls that the server does not hold. 2,000 */
  pollInterval?: number;
  /** Path of the WebSocket endpoint, relative to the base, or false to use none. "ws" */
  websocket?: string | false;
  /** Path of the event streams, relative to the base, or false to use none. "events" */
  sse?: string | false;
  /** Path of the REST endpoints, for writes, relative to the base, or false for none. "api" */
  rest?: string | false;
  /** How long the answer to a request may take. 30,000 */
  requestTimeout?: number;
  /** How long a write that was answered is laid over the server's rows at most. 10,000 */
  settleTimeout?: number;
  /** Send cookies to event streams of another origin. WebSockets always bear them. false */
  withCredentials?: boolean;
  /**
   * A bearer token, or a function that brings one for each connection. It goes with
   * a WebSocket as a subprotocol and with requests in Authorization. `status` is 401
   * or 403 after the server refused the one before, else 0.
   */
  token?: string | ((why: { status: number }) => Awaitable<string | null | undefined>);
  /** Headers, or a function that brings them, likewise. WebSockets cannot bear any: they are used only if there is a token too, or `websocket` is given. */
  headers?: HeaderList | ((why: { status: number }) => Awaitable<HeaderList | null | undefined>);
  /** How often in a row the functions are asked anew after 401 or 403, with back-off. 5 */
  renewals?: number;
  /** Longest wait before the first reconnect; it doubles with each. The wait is a random part of it. 500 */
  backoff?: number;
  /** What it does not exceed. 15,000 */
  maxBackoff?: number;
  /** How long a connection may take to open. 10,000 */
  openTimeout?: number;
  /** How long a WebSocket may be silent before the server is asked for a sign of life; a stream is opened again after twice that. 30,000 */
  quietTimeout?: number;
  /** How long the sign of life may take. 5,000 */
  probeTimeout?: number;
  /** How many WebSockets in a row may fail to open before SSE is tried. 2 */
  fallbackAfter?: number;
  /** How long SSE is used before a WebSocket that failed beside it is tried again; doubles up to 64 times. 5,000 */
  upgradeInterval?: number;
  /** Constructors for where the platform has none, such as that of the package ws. Without EventSource, fetch is used. */
  WebSocket?: unknown;
  EventSource?: unknown;
  fetch?: (url: string, init?: any) => Promise<any>;
  /** For tests. */
  clock?: {
    now?(): number;
    random?(): number;
    setTimeout?(fn: () => void, delay: number): unknown;
    clearTimeout?(timer: any): void;
  };
  window?: any;
  document?: any;
}

export interface CollectionOptions {
  /** Parameters, when the binding is a family. */
  params?: Params;
  /** The key's columns. Without it they are inferred, and fetched anew should that have been wrong. */
  key?: readonly string[];
  /** Closes the collection. */
  signal?: Signal;
  /** Rows that came with the page. They show at once, as "stale", and the server is asked for what has changed since. */
  initial?: { rows: readonly object[]; version: string; order?: readonly string[]; lastModified?: string };
  /** How long the binding is still followed after its last collection was closed, in milliseconds. 0 */
  linger?: number;
}

export interface WriteOptions {
  /** Show the effect before the server has answered. true */
  optimistic?: boolean;
  signal?: Signal;
}

export interface ChangeOptions extends WriteOptions {
  /** The row's tag (ETag) that has to hold still; or true: write only if the row is as the collection shows it. */
  ifMatch?: string | boolean;
}

/** Brings the row as the server has it, or a {@link BinderyError} with the problem. */
export interface Written<R> extends Promise<R> {
  /** Resolves when the write is not laid over the server's rows any more: they include it, or it was refused. */
  readonly settled: Promise<void>;
}

export interface JoinOptions {
  params?: Params;
  /** The version to resume from. */
  version?: string;
  /** Look at one page, counted from 1, instead of joining. Over WebSocket only. */
  page?: number;
  /** Leave instead of joining. */
  disconnect?: boolean;
}

/** Connects to the server at the base URL ("/" if left out), at the first collection or join. */
export function connect(base?: string | { readonly href: string }, options?: ClientOptions): Client;

export type ClientStatus = "idle" | "connecting" | "live" | "waiting" | "closed";

interface ClientEvents {
  status: PlatformEvent;
  error: ProblemEvent;
}

/** One connection to a server, shared by everything that it is asked for. */
export class Client extends Target<ClientEvents> {
  constructor(base?: string | { readonly href: string }, options?: ClientOptions);
  /** Changes are dispatched as "status". "waiting" is for the next attempt to connect. */
  readonly status: ClientStatus;
  readonly transport: "websocket" | "sse" | "poll" | null;
  /** Opens a live collection of the binding's rows. Collections of one binding share its rows. */
  collection<T extends object = any>(name: string, options?: CollectionOptions): Collection<T>;
  /** Returns the state that collections of the binding show now, or null where there is none. */
  peek<T = any>(name: string, options?: { params?: Params }): State<T> | null;
  /**
   * Calls fn with each message of the binding of that name, batch by complete batch. Returns a
   * function that ends it. The client's own events, "status" and "error", come by addEventListener.
   */
  on<T = any>(event: string, fn: (message: Message<T>) => void): () => void;
  off(event: string, fn: (message: Message) => void): this;
  /** Joins a binding, leaves it or looks at a page. What it brings goes to the functions given to on. */
  emit(event: string, options?: JoinOptions): this;
  /** Reconnects now if that is being waited for; else asks the server for a sign of life. */
  wake(): void;
  /** Connects anew and resumes: after a login or logout, when cookies say who asks. */
  reconnect(): void;
  /** Ends the connection and every collection, for good. */
  close(): void;
}

/** "connecting": no rows yet. "live". "stale": rows that may be old, while there is no connection. "closed": for good. */
export type Status = "connecting" | "live" | "stale" | "closed";

export interface State<T> {
  readonly rows: readonly T[];
  readonly status: Status;
  /** The version's token, "" before the first. */
  readonly version: string;
  /** When the rows changed last, RFC 3339; "" before the first version. */
  readonly lastModified: string;
  /** Why the server closed the collection, or null. */
  readonly error: BinderyError | null;
  /** How many writes are under way, or laid over the server's rows. */
  readonly pending: number;
}

/** How one version became the next. */
export interface ChangeEvent<T = any> extends PlatformEvent {}
export class ChangeEvent<T = any> {
  readonly created: readonly T[];
  readonly updated: readonly T[];
  /** The updated rows as they were, in the same places. */
  readonly previous: readonly T[];
  /** The deleted rows as they were. */
  readonly deleted: readonly T[];
  readonly version: string;
}

export interface ProblemEvent extends PlatformEvent {}
export class ProblemEvent {
  readonly error: Error;
}

interface CollectionEvents<T> {
  change: ChangeEvent<T>;
  status: PlatformEvent;
  version: PlatformEvent;
  error: ProblemEvent;
}

/** The rows of a binding, in its order, always current. It is also a store as Svelte has them. */
export class Collection<T extends object = any> extends Target<CollectionEvents<T>> implements Iterable<T> {
  private constructor();
  readonly name: string;
  readonly params: Params | undefined;
  /** Resolves with the first version; rejects when the collection is closed before. */
  readonly ready: Promise<this>;
  /** Everything below in one frozen object, another one after each change. */
  readonly state: State<T>;
  /** Frozen, and another array for each version with other rows. */
  readonly rows: readonly T[];
  readonly size: number;
  readonly version: string;
  readonly lastModified: string;
  readonly status: Status;
  readonly error: BinderyError | null;
  [Symbol.iterator](): Iterator<T>;
  get(key: Key<T>): T | undefined;
  has(key: Key<T>): boolean;
  /** How many writes are under way, or laid over the server's rows. */
  readonly pending: number;
  /** Creates a row. It shows at once, and is taken back when the server refuses. */
  create(row: Partial<T>, options?: WriteOptions): Written<T>;
  /** Changes columns of the row with the key (JSON merge patch), likewise. */
  update(key: Key<T>, columns: Partial<T>, options?: ChangeOptions): Written<T>;
  /** Removes the row with the key, likewise. */
  remove(key: Key<T>, options?: ChangeOptions): Written<null>;
  /** Waits for a condition, a version, or until the rows include every commit up to a mark. */
  waitFor(what: ((collection: this) => unknown) | { version: string } | { mark: string }, options?: { signal?: Signal; timeout?: number }): Promise<this>;
  /** Calls fn for the events of a type. Returns a function that ends it. */
  on<K extends keyof CollectionEvents<T>>(type: K, fn: (event: CollectionEvents<T>[K]) => void): () => void;
  /** Calls fn with the state now and whenever it changes. Returns a function that ends it. */
  subscribe(fn: (state: State<T>) => void): () => void;
  /** The binding is left with its last collection. */
  close(): void;
}

export {};
