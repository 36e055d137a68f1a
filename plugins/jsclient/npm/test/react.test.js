import assert from "node:assert/strict";
import { register } from "node:module";
import { test } from "node:test";

import { connect } from "../index.js";
import { World, message, settle, sync } from "./world.js";

// React as far as the hook uses it: one component, rendered by the test.
const fake = `
  let memo, unsubscribe;
  export const react = { renders: 0, component: null, value: null };
  export function useMemo(make, deps) {
    if (!memo || deps.some((d, i) => !Object.is(d, memo.deps[i]))) memo = { value: make(), deps };
    return memo.value;
  }
  let subscribed;
  export function useSyncExternalStore(subscribe, snapshot) {
    react.effect = () => {
      if (subscribed === subscribe) return;
      unsubscribe?.();
      subscribed = subscribe;
      unsubscribe = subscribe(() => react.render());
    };
    const value = snapshot();
    if (!Object.is(value, snapshot())) throw new Error("the snapshot changes by itself");
    return value;
  }
  react.render = () => {
    react.renders++;
    react.value = react.component();
    react.effect();
    return react.value;
  };
  react.unmount = () => { unsubscribe(); unsubscribe = subscribed = undefined; };
`;
const url = `data:text/javascript,${encodeURIComponent(fake)}`;
register(`data:text/javascript,${encodeURIComponent(`
  export const resolve = (name, context, next) => name === "react" ? { url: ${JSON.stringify(url)}, shortCircuit: true } : next(name, context);
`)}`);

test("useBinding renders each state, and leaves with the component", async () => {
  const { react } = await import(url);
  const { useBinding } = await import("../react.js");
  const world = new World();
  const client = connect("http://shop.test/", world.options());
  let name = "products";
  react.component = () => useBinding(client, name, { params: { venue: "store" }, linger: 0 }); // a new object each time

  assert.equal(react.render().status, "connecting");
  world.socket.open();
  assert.deepEqual(world.socket.take(), [{ event: "products", params: { venue: "store" } }]);
  const params = { venue: "store" };
  world.socket.receive(sync("products", "v1", [{ id: 1 }], { params }));
  assert.deepEqual(react.value.rows, [{ id: 1 }]);
  world.socket.receive(message("create", "products", "v2", [{ id: 2 }], { params }));
  assert.equal(react.value.version, "v2");
  const renders = react.renders;
  react.render();
  assert.equal(react.renders, renders + 1, "rendering again does not join again");
  assert.deepEqual(world.socket.take(), []);

  name = "cheapest";
  assert.equal(react.render().status, "connecting", "another binding begins empty");
  await settle();
  assert.deepEqual(world.socket.take(), [{ event: "cheapest", params }, { event: "products", params, disconnect: true }]);
  react.unmount();
  await settle();
  assert.deepEqual(world.socket.take(), [{ event: "cheapest", params, disconnect: true }]);
});
