// Package budget bounds the memory that many holders keep together, in bytes.
//
// Holders tell a [Budget] what they keep. When that is more than the limit the
// budget asks them to let go: first of what they can make again ("bodies"), then
// of everything, from those that nobody uses. What has not been looked at for long
// and is large goes first. A newcomer for whom there is no room is refused.
//
// Shares keep any one party from taking all. A party may hold up to [ShareOfFree]
// times what is free: the dynamic threshold of Choudhury and Hahne, "Dynamic Queue
// Length Thresholds for Shared-Memory Packet Switches" (IEEE/ACM Transactions on
// Networking 6(2), 1998). One greedy party gets two thirds of the limit, two get
// two fifths each, and there is always something left for who comes next.
package budget
